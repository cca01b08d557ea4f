"""Projection cGAN (Miyato and Koyama 2018): hinge objective; wants a projection, spectral_norm and conditional batch_norm."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import Hinge
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("conditional", "multi_hot")


def objective(family: Family) -> Hinge:
    return Hinge()
