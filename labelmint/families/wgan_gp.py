"""Wasserstein GAN with a gradient penalty, and without batch normalisation in D."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import Wasserstein
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="Wasserstein GAN with gradient penalty",
    source="Gulrajani et al. 2017",
    label_kinds=("per_class", "conditional", "multi_hot", "none"),
    objective=lambda family: Wasserstein(),
    settings=Family(
        generator=GeneratorNetwork(dense_filters=64, filters=[32]),
        discriminator=DiscriminatorNetwork(filters=[32, 64], batch_norm=False),
        initialization="glorot_uniform",
        update="alternating",
        n_critic=3,
        gradient_penalty=10.0,
        generator_optimizer=Optimizer(learning_rate=5e-4, beta1=0.0, beta2=0.9),
        discriminator_optimizer=Optimizer(learning_rate=5e-4, beta1=0.0, beta2=0.9),
    ),
)
