"""R3GAN's objective: relativistic pairing, R1 and R2 on D, no normalisation layers."""

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.objectives import Relativistic
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="R3GAN",
    source="Huang et al. 2024",
    label_kinds=("per_class", "conditional", "multi_hot", "none"),
    objective=lambda family: Relativistic(),
    settings=Family(
        generator=GeneratorNetwork(dense_filters=64, filters=[32], batch_norm=False, activation="leaky_relu"),
        discriminator=DiscriminatorNetwork(filters=[32, 64], batch_norm=False),
        initialization="glorot_uniform",
        update="alternating",
        r1=0.1,
        r2=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4, beta1=0.0, beta2=0.99),
        discriminator_optimizer=Optimizer(learning_rate=5e-4, beta1=0.0, beta2=0.99),
    ),
)
