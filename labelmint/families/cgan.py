"""Conditional GAN: both networks receive the class, through any `condition` but auxiliary."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="Conditional GAN",
    source="Mirza and Osindero 2014",
    label_kinds=("conditional",),
    objective=lambda family: NonSaturating(family.label_smoothing),
    settings=Family(
        labels="conditional",
        generator=GeneratorNetwork(dense_filters=128, filters=[64], condition="concat"),
        discriminator=DiscriminatorNetwork(filters=[64, 128], head_dropout=0.3, condition="channel"),
        label_smoothing=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
)
