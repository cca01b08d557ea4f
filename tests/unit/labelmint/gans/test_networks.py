"""Layers and networks: shapes, published parameter counts, agreement with torch's own layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from labelmint.gans.initialization import draw_latents
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.networks import Discriminator, Generator
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_parameter_counts_of_the_mnist_tutorial():
    """Keras counts of the deep GANs practice, figures 7 and 10. They include running averages."""
    params = GeneratorNetwork(
        dense_filters=256,
        dense_norm="units",
        filters=[128, 64],
        kernels=[5, 5, 5],
        strides=[1, 2, 2],
        final_bias=False,
    )
    generator = Generator(params, 100, (1, 28, 28))
    weights = [values.numel() for name, values in generator.named_parameters() if values.dim() > 1]
    norms = [
        sum(values.numel() for name, values in module.state_dict().items() if "num" not in name)
        for module in generator.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert weights == [1_254_400, 819_200, 204_800, 1_600]
    assert norms == [50_176, 512, 256]
    settings = DiscriminatorNetwork(
        filters=[64, 128], kernels=[5, 5], strides=[2, 2], batch_norm=False, block_dropout=0.3
    )
    discriminator: Any = Discriminator(settings, (1, 28, 28))
    layers = [*(block[0] for block in discriminator.blocks), discriminator.head]
    assert [sum(values.numel() for values in layer.parameters()) for layer in layers] == [
        1_664,
        204_928,
        6_273,
    ]


@pytest.mark.parametrize(
    ("generator", "discriminator", "shape"),
    [
        (GeneratorNetwork(), DiscriminatorNetwork(filters=[8, 16]), (1, 16, 16)),
        (
            GeneratorNetwork(
                filters=[8, 8, 4, 4], kernels=[5] * 5, strides=[2, 2, 2, 2, 1], activation="selu"
            ),
            DiscriminatorNetwork(filters=[8], kernels=[5], strides=[2], activation="relu"),
            (3, 64, 64),
        ),
        (
            GeneratorNetwork(
                filters=[8], kernels=[5, 5], strides=[1, 4], activation="leaky_relu", batch_norm=False
            ),
            DiscriminatorNetwork(filters=[4, 4, 4], kernels=[3, 3, 3], strides=[2, 2, 2]),
            (1, 28, 28),
        ),
    ],
)
def test_networks_are_built_from_settings(generator, discriminator, shape):
    family = Family(
        latent_size=7, latent_distribution="uniform", generator=generator, discriminator=discriminator
    )
    latents = draw_latents(4, family, Stream(0))
    assert latents.shape == (4, 7)
    assert latents.abs().max() <= 1
    images, _ = Generator(generator, 7, shape)(latents, latents[:, :0])
    assert images.shape == (4, *shape)
    assert images.abs().max() <= 1
    assert Discriminator(discriminator, shape)(images, latents[:, :0]).shape == (4, 1)


def test_first_and_last_layers_have_no_batch_norm():
    network: Any = Discriminator(DiscriminatorNetwork(filters=[8, 16]), (1, 16, 16))
    assert [sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in block) for block in network.blocks] == [
        0,
        1,
    ]
    assert [type(layer).__name__ for layer in Generator(GeneratorNetwork(), 8, (1, 16, 16)).layers][-2:] == [
        "TransposedConvolution",
        "Tanh",
    ]
