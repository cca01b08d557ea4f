"""Projection cGAN (Miyato and Koyama 2018): hinge objective; wants a projection, spectral_norm and conditional batch_norm."""

from __future__ import annotations

from stages.train_generators.architectures import build_discriminator, build_generator
from stages.train_generators.objectives import Hinge
from stages.train_generators.params import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("conditional", "multi_hot")


def objective(family: Family) -> Hinge:
    return Hinge()
