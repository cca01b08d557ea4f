"""An arm's replicas have the same weights however they are trained; failures reach the caller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.runtime.errors import DivergedError, InputError
from labelmint.runtime.settings import Compute
from labelmint.training import strategies
from labelmint.training.images import ArrayImages
from labelmint.training.strategies import train_arm
from tests.conftest import equal, wild


@pytest.fixture
def replicas(replica):
    """Three replicas with different sizes, seeds and permissions to flip."""
    return [
        replace(replica, name=str(seed), seed=seed, rows=replica.rows[seed:], mirrored=seed == 2)
        for seed in (1, 2, 3)
    ]


def train(replicas, images, **compute):
    return dict(train_arm("an arm", replicas, images, Compute("cpu", **compute)))


def test_weights_do_not_depend_on_workers_and_neighbours(replicas, digits):
    apart = {position: train([each], digits, workers=1)[0] for position, each in enumerate(replicas)}
    for compute in ({"workers": 1}, {"workers": 2}, {"strategy": "one_by_one"}):
        together = train(replicas, digits, **compute)
        assert together.keys() == apart.keys()
        assert all(equal(apart[position], together[position]) for position in apart), compute


@pytest.mark.parametrize(
    ("strategy", "device", "message"),
    [
        ("together", "cpu", "one CUDA graph of all generators, and cpu has none"),
        ("together", "mps", "one CUDA graph of all generators, and mps has none"),
        ("processes", "cuda", "processes would share cuda, which one process uses better"),
    ],
)
def test_a_strategy_without_meaning_on_the_device_is_refused(strategy, device, message):
    with pytest.raises(InputError, match=f"compute.strategy: {strategy}.*{message}|{message}"):
        strategies._strategy(Compute(strategy=strategy), torch.device(device))


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", "processes"), ("cuda", "together"), ("mps", "one_by_one")]
)
def test_auto_is_the_strategy_of_the_device(device, expected):
    assert strategies._strategy(Compute(), torch.device(device)) == expected


def test_images_in_memory_give_the_same_weights(replicas, digits):
    array = ArrayImages(digits.take(np.arange(max(each.rows.max() for each in replicas) + 1)))
    first, second = (train(replicas[:1], images, workers=1)[0] for images in (digits, array))
    assert equal(first, second)


def test_an_error_in_a_worker_reaches_the_caller(replica, digits):
    with pytest.raises(DivergedError, match="class 3: losses or weights are no longer finite"):
        train([replica, wild(replica)], digits, workers=2)
