"""Spectral normalisation: singular values, and equality with torch's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from labelmint.gans.initialization import initialize, spectral_layers
from labelmint.gans.layers import Convolution, Embedding, Linear, power_iteration
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.registry import build_discriminator, build_generator
from labelmint.gans.settings import Family
from labelmint.training.updates import D, G
from tests.tiny_families import LABELS, SHAPE, one_thread, single  # noqa: F401

NETWORKS = {
    "conv": DiscriminatorNetwork(filters=[4, 6], batch_norm=False),
    "one channel few maps": DiscriminatorNetwork(
        filters=[2, 2, 3], kernels=[5, 3, 4], strides=[1, 2, 2], batch_norm=False
    ),
    "conv channel": DiscriminatorNetwork(filters=[4, 6], batch_norm=False, condition="channel", embedding=3),
    "conv branch": DiscriminatorNetwork(
        filters=[4], kernels=[4], strides=[2], batch_norm=False, condition="branch", embedding=3
    ),
    "conv merge": DiscriminatorNetwork(
        filters=[4, 6], batch_norm=False, condition="merge", units=[5, 7], embedding=3
    ),
    "conv projection": DiscriminatorNetwork(filters=[4, 6], batch_norm=False, condition="projection"),
    "mlp": DiscriminatorNetwork("mlp", units=[9, 5]),
    "mlp concat": DiscriminatorNetwork("mlp", units=[9, 5], condition="concat", embedding=3),
    "mlp auxiliary": DiscriminatorNetwork("mlp", units=[9], condition="auxiliary"),
    "resnet": DiscriminatorNetwork("resnet", filters=[4, 6]),
    "resnet projection": DiscriminatorNetwork("resnet", filters=[4, 6], condition="projection"),
}


def discriminator(name: str, spectral_norm: bool = True, scheme: str = "glorot_uniform") -> Any:
    params = replace(NETWORKS[name], spectral_norm=spectral_norm)
    labels = LABELS if params.condition != "none" else 0
    family = Family(
        "conditional" if labels else "none",
        6,
        generator=GeneratorNetwork(condition="concat" if labels else "none"),
        discriminator=params,
    )
    network = build_discriminator(family, SHAPE, labels)
    initialize(network, scheme, torch.Generator().manual_seed(0))
    return network


def singular(weight: torch.Tensor) -> float:
    """The largest singular value, without power iteration."""
    return float(torch.linalg.svdvals(weight.detach().double().flatten(1))[0])


class TestSpectralNorm:
    @pytest.mark.parametrize("scheme", ["normal", "glorot_uniform"])
    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_largest_singular_value_of_every_layer_becomes_1(self, name, scheme):
        network = discriminator(name, scheme=scheme)
        layers = spectral_layers(network)
        every = [
            module for module in network.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))
        ]
        assert len(layers) == sum(not isinstance(module, Embedding) for module in every) >= 2
        raw = [singular(layer.weight) for layer in layers]
        with torch.no_grad():
            for layer in layers:
                for _ in range(300):
                    layer.direction.copy_(power_iteration(layer.weight.flatten(1), layer.direction))
        assert [singular(layer.effective_weight()) for layer in layers] == pytest.approx(
            [1] * len(layers), abs=1e-3
        )
        assert [singular(layer.weight) for layer in layers] == raw  # the learned weight does not change
        assert min(abs(value - 1) for value in raw) > 0.01

    @pytest.mark.parametrize("name", NETWORKS)
    def test_without_it_layers_compute_with_their_weights(self, name):
        network = discriminator(name, spectral_norm=False)
        layers = [module for module in network.modules() if isinstance(module, (Convolution, Linear))]
        assert spectral_layers(network) == [] and all(
            layer.effective_weight() is layer.weight for layer in layers
        )
        assert not any("direction" in key for key in network.state_dict())

    def test_embeddings_and_generators_have_none(self):
        network = discriminator("conv merge")
        labels = torch.eye(LABELS)
        assert torch.equal(network.head.embed(labels), network.head.embed.weight.T)
        family = single("fairness_gan").family
        assert (
            family.discriminator.spectral_norm
            and spectral_layers(build_generator(single("dcgan").family, SHAPE, 0)) == []
        )
        assert (
            single("fairness_gan").spectral_indices[G] == []
            and len(single("fairness_gan").spectral_indices[D]) > 10
        )

    def test_layers_compute_with_the_normalised_weight(self):
        """A dense layer scales its first singular vector by 1, whatever its weight."""
        layer = Linear(7, 5, bias=False).apply_spectral_norm()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 40)
            left, values, right = torch.linalg.svd(layer.weight, full_matrices=False)
            layer.direction.copy_(left[:, 0])
            assert torch.allclose(layer(right[:1]).abs(), left[:, :1].T.abs(), atol=1e-5)
            assert torch.allclose(layer(right[1:2]).norm(), values[1] / values[0], atol=1e-5)
        convolution = Convolution(3, 4, 3).apply_spectral_norm()
        images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        expected = torch.nn.functional.conv2d(
            images, convolution.effective_weight(), convolution.bias, padding=1
        )
        assert torch.allclose(convolution(images), expected, atol=1e-6)
        assert not torch.allclose(convolution.effective_weight(), convolution.weight, atol=1e-2)

    def test_values_and_gradients_equal_torchs(self):
        """From the same left singular vector; torch stores both."""
        rng = torch.Generator().manual_seed(2)
        ours: Any = Linear(7, 5).apply_spectral_norm()
        theirs: Any = torch.nn.Linear(7, 5)
        with torch.no_grad():
            ours.load_state_dict(theirs.state_dict(), strict=False)
        theirs = torch.nn.utils.parametrizations.spectral_norm(theirs)
        norm = theirs.parametrizations.weight[0]
        theirs.eval()  # fixes its vectors
        rows = theirs.parametrizations.weight.original
        ours.direction.copy_(norm._u)
        norm._v.copy_(torch.nn.functional.normalize(rows.detach().T @ norm._u, dim=0))
        values = torch.randn(3, 7, generator=rng)
        assert torch.allclose(ours(values), theirs(values), atol=1e-6)
        slopes = [
            torch.autograd.grad(layer(values).square().sum(), weight)[0]
            for layer, weight in ((ours, ours.weight), (theirs, rows))
        ]
        assert torch.allclose(slopes[0], slopes[1], atol=1e-5)
        assert (
            abs((slopes[0] * ours.weight).sum().item()) < 1e-4
        )  # the layer is invariant to the length of its weight


def test_spectral_norm_is_computed_in_float32_under_bfloat16():
    """A norm in bfloat16 would be off by up to a 256th."""
    layer = Linear(40, 30).apply_spectral_norm()
    with torch.autocast("cpu", torch.bfloat16):
        within = layer.effective_weight()
        assert layer(torch.ones(2, 40)).dtype == torch.bfloat16  # the product itself
    assert within.dtype == torch.float32
    assert torch.equal(within, layer.effective_weight())
