"""The first GAN: multilayer perceptrons with the non-saturating objective."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="GAN",
    source="Goodfellow et al. 2014",
    label_kinds=("per_class", "none"),
    objective=lambda family: NonSaturating(family.label_smoothing),
    settings=Family(
        generator=GeneratorNetwork("mlp", units=[128, 256], activation="leaky_relu"),
        discriminator=DiscriminatorNetwork("mlp", units=[256, 128], block_dropout=0.3),
        initialization="glorot_uniform",
        label_smoothing=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
)
