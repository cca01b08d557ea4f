"""Auxiliary-classifier GAN: D does not receive the label, it classifies the image."""

from __future__ import annotations

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import Auxiliary, NonSaturating
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer


def _objective(family: Family) -> Auxiliary:
    base, multi_hot = NonSaturating(family.label_smoothing), family.labels == "multi_hot"
    return Auxiliary(base, multi_hot, family.auxiliary_weight, family.auxiliary_weight_generator)


def _check(family: Family, dataset_labels: list[str]) -> None:
    if family.discriminator.condition != "auxiliary":
        raise ValueError("acgan needs discriminator.condition: auxiliary")


FAMILY = FamilyEntry(
    title="Auxiliary-classifier GAN",
    source="Odena, Olah and Shlens 2017",
    label_kinds=("conditional", "multi_hot"),
    objective=_objective,
    settings=Family(
        labels="conditional",
        generator=GeneratorNetwork(dense_filters=128, filters=[64], condition="concat"),
        discriminator=DiscriminatorNetwork(filters=[64, 128], head_dropout=0.3, condition="auxiliary"),
        label_smoothing=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
    check=_check,
)
