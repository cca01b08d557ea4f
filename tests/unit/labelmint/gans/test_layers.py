"""Convolutions, normalisation, dropout and noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from labelmint.gans.initialization import initialize, with_own_statistics
from labelmint.gans.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Convolution,
    Dropout,
    GaussianNoise,
    TransposedConvolution,
    batch_deviation,
)
from labelmint.gans.network_settings import DiscriminatorNetwork
from labelmint.gans.networks import Discriminator
from labelmint.random_streams import Stream

WIDTH, LABELS = 3, 4
LABELLED = torch.eye(LABELS)[[0, 1, 2, 3, 1, 2]]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=rng(seed))


class OneNorm(torch.nn.Module):
    """A network of one normalisation layer, which may be conditional."""

    def __init__(self, norm: torch.nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        conditional = isinstance(self.norm, ConditionalBatchNorm)
        normalized: torch.Tensor = self.norm(maps, labels) if conditional else self.norm(maps)
        return normalized


@pytest.fixture
def pair() -> tuple[OneNorm, OneNorm]:
    """Plain batch normalisation, and a conditional one with the same scale and shift for every label."""
    plain, by_label = BatchNorm(WIDTH), ConditionalBatchNorm(WIDTH, LABELS)
    with torch.no_grad():
        plain.weight.copy_(1 + 0.3 * noise(WIDTH, seed=1))
        plain.bias.copy_(noise(WIDTH, seed=2))
        by_label.scale.weight.copy_((plain.weight - 1)[:, None])  # added to 1
        by_label.shift.weight.copy_(plain.bias[:, None])
    return OneNorm(plain), OneNorm(by_label)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (5, 2), (5, 1), (3, 2)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_convolution_equals_a_padded_convolution(channels, kernel, stride, size):
    layer, images = (
        Convolution(channels, 5, kernel, stride),
        torch.randn(2, channels, size, size, generator=rng(0)),
    )
    out = layer(images)
    assert out.shape[-1] == -(-size // stride)
    total = max((out.shape[-1] - 1) * stride + kernel - size, 0)
    padded = F.pad(images, [total // 2, total - total // 2] * 2)
    assert torch.allclose(out, F.conv2d(padded, layer.weight, layer.bias, stride), atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (5, 2), (5, 1), (3, 2), (6, 4)])
@pytest.mark.parametrize(("channels", "bias"), [(1, True), (3, False), (6, True)])
def test_transposed_convolution_multiplies_the_size_and_equals_torch(channels, bias, kernel, stride):
    layer, maps = (
        TransposedConvolution(5, channels, kernel, stride, bias),
        torch.randn(2, 5, 4, 4, generator=rng(0)),
    )
    out = layer(maps.contiguous(memory_format=torch.channels_last))
    expected = F.conv_transpose2d(maps, layer.weight, layer.bias, stride, layer.padding, layer.output_padding)
    assert out.shape == (2, channels, 4 * stride, 4 * stride)
    assert torch.allclose(out, expected, atol=1e-5)


def test_dropout_and_noise_act_only_with_a_stream():
    values = torch.ones(1000, 20)
    assert Dropout(0.3)(values, None) is values
    assert GaussianNoise(0.5)(values, None) is values
    dropped = Dropout(0.3)(values, Stream(0))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert abs(dropped.mean().item() - 1) < 0.02
    assert abs(GaussianNoise(0.5)(values, Stream(0)).std().item() - 0.5) < 0.02


class TestByLabel:
    maps = 3 * noise(6, WIDTH, 5, 5) + 2

    def test_with_equal_labels_it_is_batch_normalisation(self, pair):
        outputs: list[torch.Tensor] = []
        slopes: list[torch.Tensor] = []
        for network in pair:
            maps = self.maps.clone().requires_grad_()
            outputs.append(network(maps, LABELLED))
            slopes += torch.autograd.grad((outputs[-1] * noise(*maps.shape, seed=5)).sum(), maps)
        assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
        assert torch.allclose(slopes[0], slopes[1], atol=1e-5)

    def test_the_same_holds_for_published_statistics(self, pair):
        batches = [
            (3 * noise(50, WIDTH, 4, 4, seed=seed) + seed, torch.eye(LABELS)[torch.arange(50) % LABELS])
            for seed in range(3)
        ]
        networks: Any = (with_own_statistics(network, batches) for network in pair)
        plain, by_label = networks
        norm = by_label.norm.norm
        means = torch.stack([maps.mean((0, 2, 3)) for maps, _ in batches]).mean(0)
        variances = torch.stack([maps.var((0, 2, 3)) for maps, _ in batches]).mean(0)
        assert torch.allclose(norm.running_mean, means, atol=1e-5)
        assert torch.allclose(norm.running_var, variances, atol=1e-4)
        assert torch.allclose(plain(self.maps, LABELLED), by_label(self.maps, LABELLED), atol=1e-5)
        expected = F.batch_norm(self.maps, means, variances, plain.norm.weight, plain.norm.bias, eps=1e-5)
        assert torch.allclose(by_label(self.maps, LABELLED), expected, atol=1e-5)
        one_by_one = torch.cat([by_label(self.maps[[row]], LABELLED[[row]]) for row in range(6)])
        assert torch.allclose(one_by_one, expected, atol=1e-5)  # images are independent

    def test_each_row_has_the_scale_and_shift_of_its_own_labels(self):
        norm = ConditionalBatchNorm(WIDTH, LABELS)
        labels = torch.cat([LABELLED[:4], torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])])
        with torch.no_grad():
            norm.scale.weight.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]).expand(WIDTH, -1))
            norm.shift.weight.copy_(torch.tensor([0.0, 10.0, 20.0, 30.0]).expand(WIDTH, -1))
            given = norm(self.maps, labels)
        mean, deviation = self.maps.mean((0, 2, 3)), self.maps.var((0, 2, 3), correction=0).sqrt()
        normal = (self.maps - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
        # Two labels add up, 1 + 0 - 1 and 0 + 20; none give 1 and 0.
        for row, (scale, shift) in enumerate([(1, 0), (2, 10), (0, 20), (3, 30), (0, 20), (1, 0)]):
            assert torch.allclose(given[row], scale * normal[row] + shift, atol=1e-4), row

    def test_statistics_are_those_of_the_whole_batch_and_not_of_each_label(self):
        norm = ConditionalBatchNorm(1, 2)
        with torch.no_grad():
            norm.scale.weight.zero_(), norm.shift.weight.zero_()
        maps = torch.tensor([0.0, 0.0, 4.0, 4.0]).view(4, 1, 1, 1)
        given = norm(maps, torch.eye(2)[[0, 0, 1, 1]])
        assert given.flatten().tolist() == pytest.approx([-1, -1, 1, 1], abs=1e-5)

    @pytest.mark.parametrize(("scheme", "spread"), [("normal", 0.02), ("glorot_uniform", 0.0)])
    def test_initial_labels_differ_little(self, scheme, spread):
        norm = ConditionalBatchNorm(100, 50)
        initialize(norm, scheme, torch.Generator().manual_seed(0))
        for weight in (norm.scale.weight, norm.shift.weight):
            assert weight.std().item() == pytest.approx(spread, rel=0.05)
            assert abs(weight.mean().item()) < 0.001


class TestBatchDeviation:
    def test_a_known_batch(self):
        """The first map deviates by 1 (values -1 and 1), the second by 3: 2 on average."""
        maps = torch.tensor([[-1.0, 5.0], [1.0, 11.0]]).view(2, 2, 1, 1).expand(2, 2, 3, 4)
        given = batch_deviation(maps)
        assert given.shape == (2, 1, 3, 4)
        assert given.unique().tolist() == pytest.approx([2.0])
        maps = torch.tensor([0.0, 0.0, 6.0]).view(3, 1, 1, 1)  # variance (4 + 4 + 16) / 3 = 8
        assert batch_deviation(maps).flatten().tolist() == pytest.approx([8**0.5] * 3)

    def test_equal_images_have_none_and_a_finite_gradient(self):
        maps = noise(1, 2, 3, 3).repeat(5, 1, 1, 1).requires_grad_()
        given = batch_deviation(maps)
        assert 0 <= given.max().item() < 2e-4
        given.sum().backward()
        assert maps.grad is not None
        assert maps.grad.isfinite().all()

    def test_is_invariant_to_the_order_and_proportional_to_the_maps(self):
        maps = noise(6, 2, 3, 3)
        assert torch.allclose(batch_deviation(maps), batch_deviation(maps.flip(0)))
        assert torch.allclose(batch_deviation(10 * maps), 10 * batch_deviation(maps), rtol=1e-4)

    def test_a_discriminator_can_distinguish_copies_from_different_images(self):
        """Its head receives one more map, the last, the only one that depends on the other images."""
        params = DiscriminatorNetwork(
            filters=[4], kernels=[4], strides=[2], batch_norm=False, minibatch_std=True
        )
        network = Discriminator(params, (1, 8, 8))
        assert network.head.output.in_features == 4 * 4 * 5
        images, nothing = noise(6, 1, 8, 8), torch.zeros(6, 0)
        features = []
        network.head.register_forward_pre_hook(lambda _, given: features.append(given[0].view(6, 4, 4, 5)))
        different, copies = network(images, nothing), network(images[:1].expand(6, -1, -1, -1), nothing)
        assert torch.allclose(features[0][0, ..., :4], features[1][0, ..., :4], atol=1e-6)
        assert features[0][..., 4].std() < 1e-6
        assert features[0][0, 0, 0, 4] > 0.05
        assert features[1][0, 0, 0, 4] < 1e-3
        weight = network.head.output.weight.view(4, 4, 5)[..., 4].sum()
        difference = weight * (features[0][0, 0, 0, 4] - features[1][0, 0, 0, 4])
        assert (different[0] - copies[0]).item() == pytest.approx(difference.item(), abs=1e-5)
