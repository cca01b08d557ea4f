"""Layers and networks: shapes, known counts, agreement with torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from labelmint.gans.initialization import draw_latents, initialize, with_own_statistics
from labelmint.gans.layers import BatchNorm, Convolution, Dropout, GaussianNoise, TransposedConvolution
from labelmint.gans.networks import Discriminator, Generator
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.random_streams import Stream
from labelmint.training.image_ops import translate


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (5, 2), (5, 1), (3, 2)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_convolution_is_a_same_convolution(channels, kernel, stride, size):
    layer, images = Convolution(channels, 5, kernel, stride), torch.randn(2, channels, size, size, generator=rng())
    out = layer(images)
    assert out.shape[-1] == -(-size // stride)
    total = max((out.shape[-1] - 1) * stride + kernel - size, 0)
    padded = F.pad(images, [total // 2, total - total // 2] * 2)
    assert torch.allclose(out, F.conv2d(padded, layer.weight, layer.bias, stride), atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (5, 2), (5, 1), (3, 2), (6, 4)])
@pytest.mark.parametrize(("channels", "bias"), [(1, True), (3, False), (6, True)])
def test_transposed_convolution_multiplies_the_size_and_agrees_with_torch(channels, bias, kernel, stride):
    layer, maps = TransposedConvolution(5, channels, kernel, stride, bias), torch.randn(2, 5, 4, 4, generator=rng())
    out = layer(maps.contiguous(memory_format=torch.channels_last))
    expected = F.conv_transpose2d(maps, layer.weight, layer.bias, stride, layer.padding, layer.output_padding)
    assert out.shape == (2, channels, 4 * stride, 4 * stride)
    assert torch.allclose(out, expected, atol=1e-5)


def test_parameter_counts_of_the_mnist_tutorial():
    """Report C, figures 7 and 10: Keras counts, in which batch normalisation's two running averages are included."""
    params = GeneratorNetwork(dense_filters=256, dense_norm="units", filters=[128, 64], kernels=[5, 5, 5], strides=[1, 2, 2], final_bias=False)  # fmt: skip
    generator = Generator(params, 100, (1, 28, 28))
    weights = [values.numel() for name, values in generator.named_parameters() if values.dim() > 1]
    norms = [
        sum(values.numel() for name, values in module.state_dict().items() if "num" not in name)
        for module in generator.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert weights == [1_254_400, 819_200, 204_800, 1_600]
    assert norms == [50_176, 512, 256]
    params = DiscriminatorNetwork(
        filters=[64, 128], kernels=[5, 5], strides=[2, 2], batch_norm=False, block_dropout=0.3
    )
    discriminator = Discriminator(params, (1, 28, 28))
    layers = [*(block[0] for block in discriminator.blocks), discriminator.head]
    assert [sum(values.numel() for values in layer.parameters()) for layer in layers] == [1_664, 204_928, 6_273]


@pytest.mark.parametrize(
    ("generator", "discriminator", "shape"),
    [
        (GeneratorNetwork(), DiscriminatorNetwork(filters=[8, 16]), (1, 16, 16)),
        (
            GeneratorNetwork(filters=[8, 8, 4, 4], kernels=[5] * 5, strides=[2, 2, 2, 2, 1], activation="selu"),
            DiscriminatorNetwork(filters=[8], kernels=[5], strides=[2], activation="relu"),
            (3, 64, 64),
        ),
        (
            GeneratorNetwork(filters=[8], kernels=[5, 5], strides=[1, 4], activation="leaky_relu", batch_norm=False),
            DiscriminatorNetwork(filters=[4, 4, 4], kernels=[3, 3, 3], strides=[2, 2, 2]),
            (1, 28, 28),
        ),
    ],
)
def test_networks_are_built_from_data(generator, discriminator, shape):
    family = Family(latent_size=7, latent_distribution="uniform", generator=generator, discriminator=discriminator)
    latents = draw_latents(4, family, Stream(0))
    assert latents.shape == (4, 7) and latents.abs().max() <= 1
    images, _ = Generator(generator, 7, shape)(latents, latents[:, :0])
    assert images.shape == (4, *shape) and images.abs().max() <= 1
    assert Discriminator(discriminator, shape)(images, latents[:, :0]).shape == (4, 1)


def test_first_and_last_layers_have_no_batch_norm():
    network = Discriminator(DiscriminatorNetwork(filters=[8, 16]), (1, 16, 16))
    assert [sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in block) for block in network.blocks] == [0, 1]
    assert [type(layer).__name__ for layer in Generator(GeneratorNetwork(), 8, (1, 16, 16)).layers][-2:] == [
        "TransposedConvolution",
        "Tanh",
    ]


def test_initialization_follows_the_scheme_and_the_seed():
    networks = [Generator(GeneratorNetwork(dense_filters=128, filters=[64]), 64, (1, 16, 16)) for _ in range(2)]
    for network in networks:
        initialize(network, "normal", rng(5))
    first, second = networks
    assert all(torch.equal(one, other) for one, other in zip(first.state_dict().values(), second.state_dict().values()))
    assert abs(first.dense.weight.std().item() - 0.02) < 1e-3
    norm = first.first[0]
    assert abs(norm.weight.mean().item() - 1) < 0.01 and 0.01 < norm.weight.std().item() < 0.03
    initialize(first, "glorot_uniform", rng(5))
    bound = (6 / (64 + 2048)) ** 0.5
    assert first.dense.weight.abs().max() <= bound < first.dense.weight.abs().max() * 1.01


def test_dropout_and_noise_act_only_when_given_randomness():
    values = torch.ones(1000, 20)
    assert Dropout(0.3)(values, None) is values and GaussianNoise(0.5)(values, None) is values
    dropped = Dropout(0.3)(values, Stream(0))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7]) and abs(dropped.mean().item() - 1) < 0.02
    assert abs(GaussianNoise(0.5)(values, Stream(0)).std().item() - 0.5) < 0.02


class TestTranslate:
    images = torch.rand(64, 2, 8, 8, generator=rng(1)) * 2 - 1

    def test_moves_whole_pixels_and_fills_with_black(self):
        moved = translate(self.images, 0.25, Stream(2))
        for image, original in zip(moved, self.images):
            shifts = []
            for down in range(-2, 3):
                for right in range(-2, 3):
                    expected = torch.full_like(original, -1)
                    expected[:, max(down, 0) : 8 + min(down, 0), max(right, 0) : 8 + min(right, 0)] = original[
                        :, max(-down, 0) : 8 + min(-down, 0), max(-right, 0) : 8 + min(-right, 0)
                    ]
                    shifts.append(torch.allclose(image, expected, atol=1e-6))
            assert any(shifts)

    def test_every_shift_is_drawn(self):
        dot = torch.full((2000, 1, 8, 8), -1.0)
        dot[:, :, 4, 4] = 1
        places = translate(dot, 0.25, Stream(3)).flatten(1).argmax(1).unique()
        assert len(places) == 25

    def test_lets_gradients_through(self):
        images = self.images.clone().requires_grad_()
        translate(images, 0.25, Stream(2)).sum().backward()
        assert set(images.grad.unique().tolist()) == {0.0, 1.0}


def test_statistics_belong_to_the_weights_at_hand():
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Unflatten(1, (4, 1, 1)), BatchNorm(4))
    with torch.no_grad():
        network(torch.randn(50, 3, generator=rng(9)) + 5)  # training leaves no trace in the running statistics
    batches = [(torch.randn(500, 3, generator=rng(seed)),) for seed in range(4)]
    published = with_own_statistics(network, batches)
    maps = torch.cat([published[0](*batch) for batch in batches])
    assert torch.allclose(published[2].running_mean, maps.mean(0), atol=1e-5)
    assert torch.allclose(published[2].running_var, maps.var(0), atol=0.02)
    assert not published.training
