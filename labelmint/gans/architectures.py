"""The network that params describe."""

from __future__ import annotations

from torch import nn

from labelmint.gans.networks import Discriminator, Generator, MLPDiscriminator, MLPGenerator, Shape
from labelmint.gans.residual import ResidualDiscriminator, ResidualGenerator
from labelmint.gans.settings import Family

_GENERATORS = {"conv": Generator, "mlp": MLPGenerator, "resnet": ResidualGenerator}
_DISCRIMINATORS = {"conv": Discriminator, "mlp": MLPDiscriminator, "resnet": ResidualDiscriminator}


def build_generator(family: Family, shape: Shape, labels: int) -> nn.Module:
    """labels: length of a label, 0 for none."""
    return _GENERATORS[family.generator.kind](family.generator, family.latent_size, shape, labels)


def build_discriminator(family: Family, shape: Shape, labels: int) -> nn.Module:
    return _DISCRIMINATORS[family.discriminator.kind](family.discriminator, shape, labels)
