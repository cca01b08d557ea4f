"""Auxiliary-classifier GAN (Odena, Olah, Shlens 2017): D is not told the label, it has to tell it."""

from __future__ import annotations

from labelmint.gans.architectures import build_discriminator, build_generator
from labelmint.gans.objectives import Auxiliary, NonSaturating
from labelmint.gans.settings import Family

__all__ = ["LABELS", "build_discriminator", "build_generator", "objective"]

LABELS = ("conditional", "multi_hot")


def objective(family: Family) -> Auxiliary:
    return Auxiliary(
        NonSaturating(family.label_smoothing),
        family.labels == "multi_hot",
        family.auxiliary_weight,
        family.auxiliary_weight_generator,
    )


def check(family: Family, dataset_labels: list[str]) -> None:
    if family.discriminator.condition != "auxiliary":
        raise ValueError("acgan needs discriminator.condition: auxiliary")
