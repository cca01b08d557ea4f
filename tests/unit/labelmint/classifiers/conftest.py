"""Few real digits, and jobs that train on them in a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from labelmint.classifiers.job import Job
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.runtime.devices import threads

CLASSES, PER_CLASS = 10, 12
_RECIPE = Classifier(network="small_cnn", steps=6, evaluations=3, batch_size=16)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread."""
    with threads(1):
        yield


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """12 images of each digit, 1 x 16 x 16, and their labels."""
    content = load_digits()
    chosen = np.concatenate([np.flatnonzero(content.target == digit)[:PER_CLASS] for digit in range(CLASSES)])
    images = (content.images[chosen] * 15.9375).astype(np.uint8)
    return np.kron(images, np.ones((2, 2), np.uint8))[:, None], content.target[chosen].astype(np.int64)


@pytest.fixture
def pool(digits) -> Pool:
    return Pool.real(digits[0], digits[1], percent=100, seed=0)


@pytest.fixture
def make_job(pool) -> Callable[..., Job]:
    """Function that makes a job of few steps on the digits, with changed settings."""

    def make(**changes: Any) -> Job:
        recipe = replace(_RECIPE, **changes)
        return Job("real", [pool], CLASSES, recipe, 0, Path("raw"))

    return make
