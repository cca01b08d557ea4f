"""Wasserstein GAN with clipped weights: several critic steps per generator step, optimized by RMSprop."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import Wasserstein
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="Wasserstein GAN",
    source="Arjovsky, Chintala and Bottou 2017",
    label_kinds=("per_class", "conditional", "multi_hot", "none"),
    objective=lambda family: Wasserstein(),
    settings=Family(
        generator=GeneratorNetwork(dense_filters=64, filters=[32]),
        discriminator=DiscriminatorNetwork(filters=[32, 64]),
        update="alternating",
        n_critic=5,
        clip=0.01,
        generator_optimizer=Optimizer("rmsprop", 5e-4, beta2=0.99),
        discriminator_optimizer=Optimizer("rmsprop", 5e-4, beta2=0.99),
    ),
)
