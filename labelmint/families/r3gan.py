"""After R3GAN (Huang et al. 2024): relativistic pairing, R1 and R2 on D, no normalisation layers."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import Relativistic
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("per_class", "conditional", "multi_hot", "none")


def objective(family: Family) -> Relativistic:
    return Relativistic()
