"""Conditional GAN told several attributes at once, a multi-hot vector (report D)."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("multi_hot",)


def objective(family: Family) -> NonSaturating:
    return NonSaturating(family.label_smoothing)
