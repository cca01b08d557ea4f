"""Families in miniature, with the kinds of settings they need; single replicas, and batches for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork, Optimizer
from labelmint.runtime.devices import threads
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.settings import Training
from tests.conftest import CPU

SHAPE = (1, 16, 16)
LABELS = 3
_G, _D = GeneratorNetwork(dense_filters=4, filters=[4]), DiscriminatorNetwork(filters=[4, 8])
_D_WITHOUT_NORM = replace(_D, batch_norm=False)
_RMSPROP = Optimizer("rmsprop", 5e-4, beta2=0.99)

FAMILIES = {
    "dcgan": Family(latent_size=6, generator=_G, discriminator=_D),
    "vanilla": Family(
        latent_size=6,
        generator=GeneratorNetwork("mlp", units=[8]),
        discriminator=DiscriminatorNetwork("mlp", units=[8]),
    ),
    "cgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="concat"),
        discriminator=replace(_D, condition="channel"),
    ),
    "acgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="concat"),
        discriminator=replace(_D, condition="auxiliary"),
    ),
    "projection_cgan": Family(
        "conditional",
        6,
        generator=replace(_G, condition="batch_norm"),
        discriminator=replace(_D_WITHOUT_NORM, spectral_norm=True, condition="projection"),
        initialization="glorot_uniform",
        update="alternating",
    ),
    "attribute_cgan": Family(
        "multi_hot",
        6,
        generator=replace(_G, condition="branch", embedding=2),
        discriminator=replace(_D, condition="channel"),
    ),
    "fairness_gan": Family(
        "multi_hot",
        6,
        generator=GeneratorNetwork(
            "resnet", units=[5], dense_filters=4, filters=[4, 4], condition="batch_norm"
        ),
        discriminator=DiscriminatorNetwork(
            "resnet", filters=[4, 4], batch_norm=False, spectral_norm=True, condition="projection"
        ),
        initialization="glorot_uniform",
        update="alternating",
        fairness="demographic_parity",
        protected="Male",
        outcome="Smiling",
    ),
    "wgan": Family(
        latent_size=6,
        generator=_G,
        discriminator=_D,
        update="alternating",
        n_critic=2,
        clip=0.01,
        generator_optimizer=_RMSPROP,
        discriminator_optimizer=_RMSPROP,
    ),
    "wgan_gp": Family(
        latent_size=6,
        generator=_G,
        discriminator=_D_WITHOUT_NORM,
        update="alternating",
        n_critic=2,
        gradient_penalty=10.0,
    ),
    "r3gan": Family(
        latent_size=6,
        generator=replace(_G, batch_norm=False),
        discriminator=_D_WITHOUT_NORM,
        update="alternating",
        r1=0.1,
        r2=0.1,
    ),
}
"""Labels, where there are any, have length LABELS: classes or attributes."""


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
