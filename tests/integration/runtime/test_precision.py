"""The settings of arithmetic on a GPU reach every kind of job there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.classifiers import feature_learner
from labelmint.classifiers import training as classifiers
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import NullTracker
from labelmint.training import strategies
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training
from pipeline.stage import select
from stages import synthesize, train_feature_network
from stages.paths import Arm
from tests.tiny_families import FAMILIES

CUDA = torch.device("cuda", 0)
EXPECTED = {"fp32": (False, False), "tf32": (True, False), "auto": (True, False), "bf16": (True, True)}


class ReachedError(Exception):
    """The job would now compute."""


def flags() -> tuple[bool, bool]:
    """Whether matrix products and convolutions may use TensorFloat-32."""
    matmul: Any = torch.backends.cuda.matmul
    return matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def generators(compute: Compute, reach: Callable[[bool], None], patch: pytest.MonkeyPatch, *_: Any) -> None:
    patch.setattr(strategies, "pick_device", lambda _: CUDA)
    patch.setattr(strategies, "train", lambda replicas, images, setup, callback: reach(setup.bf16))
    patch.setattr(strategies, "resident_bytes", lambda *_: 0)
    replica = Replica("a", "dcgan", FAMILIES["dcgan"], Training(), np.arange(4), seed=0)
    images = ArrayImages(np.zeros((4, 1, 16, 16), np.uint8))
    list(strategies.train_arm("an arm", [replica], images, compute))


def classifiers_of_an_arm(
    compute: Compute, reach: Callable[[bool], None], patch: pytest.MonkeyPatch, *_: Any
) -> None:
    patch.setattr(classifiers, "pick_device", lambda _: CUDA)
    patch.setattr(classifiers, "fit_together", lambda *_, **options: reach(options["bf16"]))
    patch.setattr(classifiers, "resident_bytes", lambda *_: 0)
    list(classifiers._fit_all([], compute, Progress("classifiers", 0, "steps")))


def feature_network(
    compute: Compute, reach: Callable[[bool], None], patch: pytest.MonkeyPatch, params: Any, paths: Any
) -> None:
    patch.setattr(train_feature_network, "pick_device", lambda _: CUDA)
    patch.setattr(train_feature_network, "resident_bytes", lambda *_: 0)
    patch.setattr(feature_learner, "train", lambda *_, **__: reach(False))
    own = select(train_feature_network.Params, replace(params, compute=compute), None)
    train_feature_network.run(own, paths, NullTracker())


def synthetic_images(
    compute: Compute, reach: Callable[[bool], None], patch: pytest.MonkeyPatch, params: Any, paths: Any
) -> None:
    patch.setattr(synthesize, "pick_device", lambda _: CUDA)
    patch.setattr(synthesize, "sample_dataset", lambda *_, **__: reach(False))
    own = select(synthesize.Params, replace(params, compute=compute), Arm("dcgan", 100, 0))
    synthesize.run(own, paths, NullTracker())


JOBS = [generators, classifiers_of_an_arm, feature_network, synthetic_images]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("job", JOBS)
def test_deterministic_algorithms_reach_the_job(job, deterministic, monkeypatch, params, workspace):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    found = []

    def reach(bf16: bool) -> None:
        found.append((torch.are_deterministic_algorithms_enabled(), "CUBLAS_WORKSPACE_CONFIG" in os.environ))
        raise ReachedError

    with pytest.raises(ReachedError):
        job(Compute(deterministic=deterministic), reach, monkeypatch, params, workspace)
    assert found == [(deterministic, deterministic)]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("precision", EXPECTED)
@pytest.mark.parametrize("job", JOBS)
def test_precision_reaches_the_job(job, precision, monkeypatch, params, workspace):
    before, found = flags(), []

    def reach(bf16: bool) -> None:
        found.append((flags(), bf16))
        raise ReachedError

    with pytest.raises(ReachedError):
        job(Compute(precision=precision), reach, monkeypatch, params, workspace)
    tf32, bf16 = EXPECTED[precision]
    # Networks in evaluation mode, and the small feature network, stay in float32 or TensorFloat-32.
    assert found == [((tf32, tf32), bf16 and job in (generators, classifiers_of_an_arm))]
    assert flags() == before
