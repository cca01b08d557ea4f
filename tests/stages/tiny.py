"""Families in miniature, each with the settings that it wants; teams of one replica, and batches for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork, Optimizer
from labelmint.runtime.devices import threads
from labelmint.training.settings import Training
from labelmint.training.team import Batch, Single
from tests.conftest import CPU

SHAPE = (1, 16, 16)
LABELS = 3
_MAPS, _FEATURES = GeneratorNetwork(dense_filters=4, filters=[4]), DiscriminatorNetwork(filters=[4, 8])
_PLAIN = replace(_FEATURES, batch_norm=False)
_TOLD = replace(_MAPS, condition="concat")
_RMSPROP = Optimizer("rmsprop", 5e-4, beta2=0.99)

FAMILIES = {
    "dcgan": Family(latent_size=6, generator=_MAPS, discriminator=_FEATURES),
    "cgan": Family("conditional", 6, generator=_TOLD, discriminator=replace(_FEATURES, condition="channel")),
    "acgan": Family("conditional", 6, generator=_TOLD, discriminator=replace(_FEATURES, condition="auxiliary")),
    "projection_cgan": Family(
        "conditional", 6,
        generator=replace(_MAPS, condition="batch_norm"),
        discriminator=replace(_PLAIN, spectral_norm=True, condition="projection"),
        initialization="glorot_uniform",
        update="alternating",
    ),
    "attribute_cgan": Family(
        "multi_hot", 6,
        generator=replace(_MAPS, condition="branch", embedding=2),
        discriminator=replace(_FEATURES, condition="channel"),
    ),
    "fairness_gan": Family(
        "multi_hot", 6,
        generator=GeneratorNetwork("resnet", units=[5], dense_filters=4, filters=[4, 4], condition="batch_norm"),
        discriminator=DiscriminatorNetwork("resnet", filters=[4, 4], batch_norm=False, spectral_norm=True, condition="projection"),
        initialization="glorot_uniform",
        update="alternating",
        fairness="demographic_parity", protected="Male", outcome="Smiling",
    ),
    "wgan": Family(
        latent_size=6, generator=_MAPS, discriminator=_FEATURES, update="alternating", n_critic=2, clip=0.01,
        generator_optimizer=_RMSPROP, discriminator_optimizer=_RMSPROP,
    ),
    "wgan_gp": Family(
        latent_size=6, generator=_MAPS, discriminator=_PLAIN, update="alternating", n_critic=2, gradient_penalty=10.0
    ),
    "r3gan": Family(
        latent_size=6, generator=replace(_MAPS, batch_norm=False), discriminator=_PLAIN, update="alternating", r1=0.1, r2=0.1
    ),
}  # fmt: skip
"""Labels are LABELS long where there are any: classes, or attributes."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For the tests of a file that imports it: so small a network only waits for a second thread."""
    with threads(1):
        yield


def label_length(family: Family) -> int:
    return LABELS if family.labels in ("conditional", "multi_hot") else 0


def single(name: str, seed: int = 0, training: Training | None = None, **changes: Any) -> Single:
    """One replica of a family of FAMILIES, with changes."""
    family = replace(FAMILIES[name], **changes)
    training, labels = training or Training(), label_length(family)
    return Single(name, family, training, SHAPE, labels=labels, seed=seed, mirrored=False, device=CPU)


def labels_of(family: Family, count: int, rng: np.random.Generator) -> np.ndarray | None:
    """As a data set has them: int64 (count,) of classes, or uint8 (count, LABELS) of attributes."""
    if family.labels == "multi_hot":
        return rng.integers(0, 2, (count, LABELS), dtype=np.uint8)
    return rng.integers(0, LABELS, count) if family.labels == "conditional" else None


def batch(family: Family, count: int, seed: int = 0) -> Batch:
    """For one step of one replica: `count` real images for each step of D."""
    rng, count = np.random.default_rng(seed), count * family.n_critic
    images = torch.from_numpy(rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8))
    labels = labels_of(family, count, rng)
    if labels is None:
        return Batch.unlabelled(images)
    told = np.eye(LABELS)[labels] if labels.ndim == 1 else labels
    return Batch(images, torch.from_numpy(told).float(), torch.zeros(count, dtype=torch.bool))


def both(one: Batch, other: Batch) -> Batch:
    """For a stack of two."""
    return Batch(*(torch.stack(parts) for parts in zip(one, other)))
