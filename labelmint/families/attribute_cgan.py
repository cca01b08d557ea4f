"""Conditional GAN for several attributes at once, a multi-hot vector."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="Attribute-conditional GAN",
    source="Mirza and Osindero 2014",
    label_kinds=("multi_hot",),
    objective=lambda family: NonSaturating(family.label_smoothing),
    settings=Family(
        labels="multi_hot",
        generator=GeneratorNetwork(dense_filters=64, filters=[32], condition="branch", embedding=32),
        discriminator=DiscriminatorNetwork(filters=[32, 64], head_dropout=0.3, condition="channel"),
        label_smoothing=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
)
