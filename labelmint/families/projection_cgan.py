"""Projection cGAN: hinge objective, projection discriminator, spectral normalisation."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import Hinge
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="Projection cGAN",
    source="Miyato and Koyama 2018",
    label_kinds=("conditional", "multi_hot"),
    objective=lambda family: Hinge(),
    settings=Family(
        labels="conditional",
        generator=GeneratorNetwork(dense_filters=128, filters=[64], condition="batch_norm"),
        discriminator=DiscriminatorNetwork(
            filters=[64, 128], batch_norm=False, spectral_norm=True, condition="projection"
        ),
        initialization="glorot_uniform",
        update="alternating",
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
)
