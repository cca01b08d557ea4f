"""Classifiers that train together: a replayed step is the step itself; memory; images on the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.classifiers.fit import fit, fit_together
from labelmint.classifiers.job import build
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Augmentation
from labelmint.runtime.errors import InputError
from tests.conftest import CPU
from tests.tape import Tape

LARGE = 1 << 30


def equal(first, second) -> bool:
    return first.evaluations == second.evaluations and all(
        np.array_equal(values, second.weights[name]) for name, values in first.weights.items()
    )


@pytest.fixture
def multi_hot(pool: Pool) -> Pool:
    return replace(pool, labels=np.stack([pool.labels % 2, pool.labels > 4], 1).astype(np.float32))


@pytest.mark.parametrize("network", ["small_cnn", "linear"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("labels", ["classes", "multi-hot"])
def test_replayed_steps_are_the_steps_themselves(make_job, multi_hot, network, optimizer, labels):
    changes = {"network": network, "optimizer": optimizer, "augmentation": Augmentation()}
    job = replace(make_job(**changes), mirror=[True, False] * 5)
    if labels == "multi-hot":
        job = replace(job, pools=[multi_hot], classes=2, mirror=[True, True])
    eager = fit(job, CPU)
    ((_, replayed),) = fit_together([job], CPU, resident_bytes=LARGE, graph_class=Tape)
    assert equal(eager, replayed)


@pytest.mark.parametrize("labels", ["classes", "multi-hot"])
def test_replayed_steps_of_a_distilled_classifier_are_the_steps_themselves(make_job, multi_hot, labels):
    job = make_job(augmentation=Augmentation())
    if labels == "multi-hot":
        job = replace(job, pools=[multi_hot], classes=2)
    with torch.random.fork_rng(devices=[]):
        network = build(job.params, job.shape, job.classes, None)
    taught = replace(job, teacher=lambda: network)
    eager = fit(taught, CPU)
    ((_, replayed),) = fit_together([taught], CPU, resident_bytes=LARGE, graph_class=Tape)
    assert equal(eager, replayed)
    assert not equal(eager, fit(job, CPU))


@pytest.mark.usefixtures("short_warm_up")
@pytest.mark.parametrize(("network", "stride"), [("efficientnet-b0", 2), ("torchvision/squeezenet1_1", 1)])
def test_a_network_with_dropout_replays(make_job, network, stride):
    job = make_job(network=network, steps=3, evaluations=1, batch_size=4, head_units=16, stem_stride=stride)
    ((_, replayed),) = fit_together([job], CPU, resident_bytes=LARGE, graph_class=Tape)
    assert equal(fit(job, CPU), replayed)


@pytest.mark.parametrize("resident_bytes", [0, LARGE])
def test_different_classifiers_finish_one_by_one_as_if_alone(make_job, multi_hot, resident_bytes):
    jobs = [
        make_job(steps=9),
        replace(make_job(network="linear"), pools=[multi_hot], classes=2),
        make_job(epochs=1, optimizer="sgd"),
    ]
    together = dict(fit_together(jobs, CPU, resident_bytes=resident_bytes, graph_class=Tape))
    assert list(together) == [1, 2, 0]  # after 6, 8 and 9 steps
    assert all(equal(fit(job, CPU), together[position]) for position, job in enumerate(jobs))


def test_renewed_images_replace_those_on_the_device(make_job, pool):
    class Inverted:
        def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
            return 255 - pool.images, pool.labels

    job = replace(make_job(steps=14, evaluations=1), pools=[replace(pool, renewal=Inverted())])
    ((_, resident),) = fit_together([job], CPU, resident_bytes=LARGE, graph_class=Tape)
    assert equal(fit(job, CPU), resident)
    assert not equal(fit(replace(job, pools=[pool]), CPU), resident)


class TooSmall(Tape):
    """A device that holds the graph of one classifier."""

    largest = 1

    def capture(self, run):
        if len(run.__self__.learners) > self.largest:
            run.__self__.learners[0].step()  # an unfinished step has changed weights
            raise torch.OutOfMemoryError("CUDA out of memory")
        super().capture(run)


def test_out_of_memory_halves_the_group(make_job, capsys):
    jobs = [make_job(steps=7), make_job(steps=8, network="linear")]
    found = dict(fit_together(jobs, CPU, resident_bytes=LARGE, graph_class=TooSmall))
    assert all(equal(fit(job, CPU), found[position]) for position, job in enumerate(jobs))
    assert "cpu: out of memory with 2 classifiers at once; going on with 1" in capsys.readouterr().err


def test_too_little_memory_for_one_is_one_clear_line(make_job, monkeypatch):
    monkeypatch.setattr(TooSmall, "largest", 0)
    with pytest.raises(InputError, match="compute.device: cpu has too little memory for one of the classif"):
        list(fit_together([make_job()], CPU, graph_class=TooSmall))


def test_bf16_is_near(make_job):
    ((_, short),) = fit_together([make_job()], CPU, bf16=True)
    full = fit(make_job(), CPU)
    for ours, theirs in zip(full.evaluations, short.evaluations, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], abs=0.05)
        assert ours["train_loss"] != theirs["train_loss"]
    assert {values.dtype for values in short.weights.values()} <= {np.dtype("float32"), np.dtype("int64")}
