"""DCGAN with the non-saturating objective (Goodfellow et al. 2014)."""

from labelmint.gans.network_settings import DiscriminatorNetwork
from labelmint.gans.objectives import NonSaturating
from labelmint.gans.registry import FamilyEntry
from labelmint.gans.settings import Family, Optimizer

FAMILY = FamilyEntry(
    title="DCGAN",
    source="Radford, Metz and Chintala 2016",
    label_kinds=("per_class", "none"),
    objective=lambda family: NonSaturating(family.label_smoothing),
    settings=Family(
        discriminator=DiscriminatorNetwork(head_dropout=0.3),
        label_smoothing=0.1,
        generator_optimizer=Optimizer(learning_rate=5e-4),
        discriminator_optimizer=Optimizer(learning_rate=5e-4),
    ),
)
