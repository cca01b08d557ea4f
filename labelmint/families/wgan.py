"""Wasserstein GAN with clipped weights (Arjovsky, Chintala, Bottou 2017): wants `clip`, n_critic and rmsprop."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import Wasserstein
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("per_class", "conditional", "multi_hot", "none")


def objective(family: Family) -> Wasserstein:
    return Wasserstein()
