"""An arm's replicas have the same weights however they are trained; failures reach the caller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelmint.runtime.settings import Compute
from labelmint.training.images import ArrayImages
from labelmint.training.replica import DivergedError
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


def test_stacked_is_equal_to_rounding(replicas, digits):
    apart, stacked = train(replicas, digits, workers=1), train(replicas, digits, strategy="stacked")
    for position, trained in apart.items():
        for name, values in trained.weights.items():
            assert np.abs(values - stacked[position].weights[name]).max() < 5e-3, name


def test_images_in_memory_give_the_same_weights(replicas, digits):
    array = ArrayImages(digits.take(np.arange(max(each.rows.max() for each in replicas) + 1)))
    first, second = (train(replicas[:1], images, workers=1)[0] for images in (digits, array))
    assert equal(first, second)


def test_an_error_in_a_worker_reaches_the_caller(replica, digits):
    with pytest.raises(DivergedError, match="class 3: the losses are no longer finite"):
        train([replica, wild(replica)], digits, workers=2)
