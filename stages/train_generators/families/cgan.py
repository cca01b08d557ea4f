"""Conditional GAN (Mirza and Osindero 2014): both players are told the class, by any `condition` but auxiliary."""

from __future__ import annotations

from stages.train_generators.architectures import build_discriminator, build_generator
from stages.train_generators.objectives import NonSaturating
from stages.train_generators.params import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("conditional",)


def objective(family: Family) -> NonSaturating:
    return NonSaturating(family.label_smoothing)
