"""Limits of D's weights: WGAN's clipping and spectral normalisation, for one replica and for a stack."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from labelmint.gans.registry import build_discriminator, build_generator
from labelmint.gans.initialization import initialize, spectral_layers
from labelmint.gans.layers import Convolution, Embedding, Linear, power_iteration
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork, Optimizer
from labelmint.training.stacked import Stacked
from labelmint.training.updates import D, G
from tests.stages.tiny import LABELS, SHAPE, batch, both, one_thread, single  # noqa: F401

CLIP = 0.01


def clipped(**changes):
    """(players, what a step is given): one replica and a stack of two."""
    one, pair = single("wgan", 1, **changes), Stacked([single("wgan", seed, **changes) for seed in (1, 2)])
    given = [batch(one.family, 4, seed) for seed in (3, 4)]
    return {"single": (one, given[0]), "stacked": (pair, both(*given))}


class TestClipping:
    @pytest.mark.parametrize("kind", ["single", "stacked"])
    @pytest.mark.parametrize(("update", "steps"), [("alternating", 3), ("sequential", 2), ("simultaneous", 1)])
    def test_after_every_step_of_d_all_its_weights_lie_within(self, kind, update, steps):
        players, given = clipped(update=update, n_critic=steps, clip=CLIP)[kind]
        step, largest = players.step, {G: [], D: []}

        def watched(player, gradients):
            step(player, gradients)
            largest[player].append(torch.stack([weight.detach().abs().max() for weight in players.weights[player]]))

        players.step = watched
        for number in range(2):
            players.train_step(number, given, 1.0, 0.5)
        taken = 2 * steps * (2 if update == "sequential" else 1)  # sequential: one on real, one on minted images
        assert (len(largest[D]), len(largest[G])) == (taken, 2)
        # float32's nearest to 0.01 is where a weight stops; batch normalisation's gammas begin near 1, so all meet the limit
        assert all(each.max() == torch.tensor(CLIP) for each in largest[D])
        assert all(each.max() > 0.9 for each in largest[G])

    def test_the_limit_is_the_familys_and_0_is_none(self):
        wide, free = single("wgan", 1, clip=0.5), single("wgan", 1, clip=0.0)
        for players in (wide, free):
            players.train_step(0, batch(players.family, 4), 1.0, 0.5)
        assert max(weight.abs().max().item() for weight in wide.weights[D]) == 0.5
        assert max(weight.abs().max().item() for weight in free.weights[D]) > 0.9

    def test_a_weight_within_the_limit_is_not_touched(self):
        """Steps of D from the same weights, with a limit that only gammas meet and without one: all else agrees."""
        wide, free = single("wgan", 1, clip=0.5), single("wgan", 1, clip=0.0)
        gradients = [torch.ones_like(weight) for weight in wide.weights[D]]
        for players in (wide, free):
            players.learning_rate_factor = 1.0
            players.step(D, gradients)
        assert all(torch.equal(one, other.clamp(-0.5, 0.5)) for one, other in zip(wide.weights[D], free.weights[D]))
        assert sum(not torch.equal(*pair) for pair in zip(wide.weights[D], free.weights[D])) == 1


NETWORKS = {
    "conv": DiscriminatorNetwork(filters=[4, 6], batch_norm=False),
    "one channel few maps": DiscriminatorNetwork(filters=[2, 2, 3], kernels=[5, 3, 4], strides=[1, 2, 2], batch_norm=False),
    "conv channel": DiscriminatorNetwork(filters=[4, 6], batch_norm=False, condition="channel", embedding=3),
    "conv branch": DiscriminatorNetwork(filters=[4], kernels=[4], strides=[2], batch_norm=False, condition="branch", embedding=3),
    "conv merge": DiscriminatorNetwork(filters=[4, 6], batch_norm=False, condition="merge", units=[5, 7], embedding=3),
    "conv projection": DiscriminatorNetwork(filters=[4, 6], batch_norm=False, condition="projection"),
    "mlp": DiscriminatorNetwork("mlp", units=[9, 5]),
    "mlp concat": DiscriminatorNetwork("mlp", units=[9, 5], condition="concat", embedding=3),
    "mlp auxiliary": DiscriminatorNetwork("mlp", units=[9], condition="auxiliary"),
    "resnet": DiscriminatorNetwork("resnet", filters=[4, 6]),
    "resnet projection": DiscriminatorNetwork("resnet", filters=[4, 6], condition="projection"),
}  # fmt: skip


def discriminator(name: str, spectral_norm: bool = True, scheme: str = "glorot_uniform") -> torch.nn.Module:
    params = replace(NETWORKS[name], spectral_norm=spectral_norm)
    told = LABELS if params.condition != "none" else 0
    family = Family(
        "conditional" if told else "none", 6,
        generator=GeneratorNetwork(condition="concat" if told else "none"), discriminator=params,
    )  # fmt: skip
    network = build_discriminator(family, SHAPE, told)
    initialize(network, scheme, torch.Generator().manual_seed(0))
    return network


def singular(weight: torch.Tensor) -> float:
    """The largest singular value, by another way than power iteration."""
    return torch.linalg.svdvals(weight.detach().double().flatten(1))[0].item()


class TestSpectralNorm:
    @pytest.mark.parametrize("scheme", ["normal", "glorot_uniform"])
    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_largest_singular_value_of_every_layer_becomes_1(self, name, scheme):
        network = discriminator(name, scheme=scheme)
        layers = spectral_layers(network)
        every = [module for module in network.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
        assert len(layers) == sum(not isinstance(module, Embedding) for module in every) >= 2
        raw = [singular(layer.weight) for layer in layers]
        with torch.no_grad():
            for layer in layers:
                for _ in range(300):
                    layer.direction.copy_(power_iteration(layer.weight.flatten(1), layer.direction))
        assert [singular(layer.effective_weight()) for layer in layers] == pytest.approx([1] * len(layers), abs=1e-3)
        assert [singular(layer.weight) for layer in layers] == raw  # the weight that is learned stays what it was
        assert min(abs(value - 1) for value in raw) > 0.01

    @pytest.mark.parametrize("name", NETWORKS)
    def test_without_it_layers_compute_with_their_weights(self, name):
        network = discriminator(name, spectral_norm=False)
        layers = [module for module in network.modules() if isinstance(module, (Convolution, Linear))]
        assert spectral_layers(network) == [] and all(layer.effective_weight() is layer.weight for layer in layers)
        assert not any("direction" in key for key in network.state_dict())

    def test_embeddings_and_generators_are_not_limited(self):
        network = discriminator("conv merge")
        labels = torch.eye(LABELS)
        assert torch.equal(network.head.embed(labels), network.head.embed.weight.T)
        family = single("fairness_gan").family
        assert family.discriminator.spectral_norm and spectral_layers(build_generator(single("dcgan").family, SHAPE, 0)) == []
        assert single("fairness_gan").spectral_indices[G] == [] and len(single("fairness_gan").spectral_indices[D]) > 10

    def test_layers_compute_with_the_limited_weight(self):
        """A dense layer along its first singular vector stretches by 1, whatever its weight."""
        layer = Linear(7, 5, bias=False).apply_spectral_norm()
        with torch.no_grad():
            layer.weight.copy_(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 40)
            left, values, right = torch.linalg.svd(layer.weight, full_matrices=False)
            layer.direction.copy_(left[:, 0])
            assert torch.allclose(layer(right[:1]).abs(), left[:, :1].T.abs(), atol=1e-5)
            assert torch.allclose(layer(right[1:2]).norm(), values[1] / values[0], atol=1e-5)
        convolution = Convolution(3, 4, 3).apply_spectral_norm()
        images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        expected = torch.nn.functional.conv2d(images, convolution.effective_weight(), convolution.bias, padding=1)
        assert torch.allclose(convolution(images), expected, atol=1e-6)
        assert not torch.allclose(convolution.effective_weight(), convolution.weight, atol=1e-2)

    def test_is_torchs_own_in_value_and_gradient(self):
        """torch keeps both singular vectors; from the same left one it divides by the same number, with the same slope."""
        rng = torch.Generator().manual_seed(2)
        ours, theirs = Linear(7, 5).apply_spectral_norm(), torch.nn.Linear(7, 5)
        with torch.no_grad():
            ours.load_state_dict(theirs.state_dict(), strict=False)
        theirs = torch.nn.utils.parametrizations.spectral_norm(theirs)
        norm = theirs.parametrizations.weight[0]
        theirs.eval()  # keeps its vectors
        rows = theirs.parametrizations.weight.original
        ours.direction.copy_(norm._u)
        norm._v.copy_(torch.nn.functional.normalize(rows.detach().T @ norm._u, dim=0))
        values = torch.randn(3, 7, generator=rng)
        assert torch.allclose(ours(values), theirs(values), atol=1e-6)
        slopes = [torch.autograd.grad(layer(values).square().sum(), weight)[0] for layer, weight in ((ours, ours.weight), (theirs, rows))]  # fmt: skip
        assert torch.allclose(*slopes, atol=1e-5)
        assert abs((slopes[0] * ours.weight).sum().item()) < 1e-4  # a longer weight is the same layer


class TestSpectralNormInTraining:
    @pytest.mark.parametrize("name", ["projection_cgan", "fairness_gan"])
    def test_one_iteration_a_step_keeps_up_with_the_weights(self, name):
        """At a high learning rate: above 1 by the iteration's lag, far less than by the vectors of the first weights."""
        players = single(name, 3, discriminator_optimizer=Optimizer(learning_rate=5e-3))
        first = [direction.clone() for direction in players.directions[D]]
        for number in range(25):
            players.train_step(number, batch(players.family, 8, number), 1.0, 0.5)
        layers = spectral_layers(players.networks[D])
        values = [singular(layer.effective_weight()) for layer in layers]
        for layer, direction in zip(layers, first, strict=True):
            layer.direction.copy_(direction)
        stale = max(singular(layer.effective_weight()) for layer in layers)
        assert min(values) > 0.999 and max(values) < 1.1 < 1.25 < stale, (values, stale)

    def test_directions_of_a_stack_are_those_of_each_replica(self):
        apart = [single("projection_cgan", seed) for seed in (1, 2)]
        stack = Stacked([single("projection_cgan", seed) for seed in (1, 2)])
        begun = [direction.clone() for direction in stack.directions[D]]
        given = [batch(apart[0].family, 4, seed) for seed in (3, 4)]
        for number in range(3):
            for one, part in zip(apart, given):
                one.train_step(number, part, 1.0, 0.5)
            stack.train_step(number, both(*given), 1.0, 0.5)
        for position, one in enumerate(apart):
            for own, theirs in zip(one.directions[D], stack.directions[D], strict=True):
                assert torch.allclose(own, theirs[position], atol=2e-3)
        assert any(not torch.equal(one, other) for one, other in zip(begun, stack.directions[D]))
        assert all(abs(each.norm().item() - 1) < 1e-5 for one in apart for each in one.directions[D])
