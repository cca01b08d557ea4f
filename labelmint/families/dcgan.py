"""DCGAN (Radford, Metz, Chintala 2016) with the non-saturating objective (Goodfellow et al. 2014)."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("per_class", "none")


def objective(family: Family) -> NonSaturating:
    return NonSaturating(family.label_smoothing)
