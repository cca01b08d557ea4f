"""Single replicas of families in miniature, and batches for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.gans.settings import Family
from labelmint.runtime.devices import threads
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.settings import Training
from tests.conftest import CPU
from tests.family_settings import FAMILIES, LABELS, SHAPE

__all__ = [
    "FAMILIES",
    "LABELS",
    "SHAPE",
    "batch",
    "build",
    "label_length",
    "one_thread",
    "random_labels",
    "single",
    "train_step",
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For the tests of a file that imports it. Networks this small gain nothing from a second thread."""
    with threads(1):
        yield


def label_length(family: Family) -> int:
    return LABELS if family.labels in ("conditional", "multi_hot") else 0


def single(name: str, seed: int = 0, training: Training | None = None, **changes: Any) -> GanLearner:
    """One replica of a family of FAMILIES, with changed settings."""
    return build(name, replace(FAMILIES[name], **changes), training or Training(), seed)


def build(name: str, family: Family, training: Training, seed: int) -> GanLearner:
    """One replica of a family with settings of its own."""
    labels = label_length(family)
    return GanLearner(name, family, training, SHAPE, labels=labels, seed=seed, mirrored=False, device=CPU)


def random_labels(family: Family, count: int, rng: np.random.Generator) -> np.ndarray | None:
    """Labels as a data set has them: int64 (count,) classes, or uint8 (count, LABELS) attributes."""
    if family.labels == "multi_hot":
        return rng.integers(0, 2, (count, LABELS), dtype=np.uint8)
    return rng.integers(0, LABELS, count) if family.labels == "conditional" else None


def batch(family: Family, count: int, seed: int = 0) -> Batch:
    """One step of one replica: `count` random images for each step of D."""
    rng, count = np.random.default_rng(seed), count * family.n_critic
    images = torch.from_numpy(rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8))
    labels = random_labels(family, count, rng)
    if labels is None:
        return Batch.unlabelled(images)
    vectors = np.eye(LABELS)[labels] if labels.ndim == 1 else labels
    return Batch(images, torch.from_numpy(vectors).float(), torch.zeros(count, dtype=torch.bool))


def train_step(
    learner: GanLearner, number: int, given: Batch, learning_rate_factor: float = 1.0, ema_weight: float = 0.5
) -> None:
    """One step of one replica on a batch."""
    learner.prepare(number, learning_rate_factor, ema_weight)
    learner.step(given)
