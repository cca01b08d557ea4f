"""DCGAN (Radford, Metz, Chintala 2016) with the non-saturating objective (Goodfellow et al. 2014)."""

from __future__ import annotations

from stages.train_generators.networks import Discriminator, Generator
from stages.train_generators.objectives import NonSaturating
from stages.train_generators.params import Family


def build_generator(family: Family, shape: tuple[int, int, int]) -> Generator:
    """shape: (C, S, S) of the images."""
    return Generator(family.generator, family.latent_size, shape)


def build_discriminator(family: Family, shape: tuple[int, int, int]) -> Discriminator:
    return Discriminator(family.discriminator, shape)


def objective(family: Family) -> NonSaturating:
    return NonSaturating(family.label_smoothing)
