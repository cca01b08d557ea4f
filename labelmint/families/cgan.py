"""Conditional GAN (Mirza and Osindero 2014): both players are told the class, by any `condition` but auxiliary."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("conditional",)


def objective(family: Family) -> NonSaturating:
    return NonSaturating(family.label_smoothing)
