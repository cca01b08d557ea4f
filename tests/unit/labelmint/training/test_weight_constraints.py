"""Constraints on D's weights in training: WGAN's clipping and spectral normalisation."""

from __future__ import annotations

import pytest
import torch

from labelmint.gans.initialization import spectral_layers
from labelmint.gans.settings import Optimizer
from labelmint.training.updates import D, G
from tests.tiny_families import batch, one_thread, single, train_step  # noqa: F401

CLIP = 0.01


class TestClipping:
    @pytest.mark.parametrize(
        ("update", "steps"), [("alternating", 3), ("sequential", 2), ("simultaneous", 1)]
    )
    def test_after_every_step_of_d_its_weights_are_clipped(self, update, steps):
        gan = single("wgan", 1, update=update, n_critic=steps, clip=CLIP)
        given, step = batch(gan.family, 4, 3), gan.update_weights
        largest: dict[str, list[torch.Tensor]] = {G: [], D: []}

        def recorded(player, gradients):
            step(player, gradients)
            largest[player].append(
                torch.stack([weight.detach().abs().max() for weight in gan.weights[player]])
            )

        gan.update_weights = recorded  # type: ignore[method-assign]
        for number in range(2):
            train_step(gan, number, given, 1.0, 0.5)
        # A sequential step has one update on real and one on generated images.
        taken = 2 * steps * (2 if update == "sequential" else 1)
        assert (len(largest[D]), len(largest[G])) == (taken, 2)
        # The limit is the float32 nearest to 0.01. Gammas of batch norm start near 1, so all reach it.
        assert all(each.max() == torch.tensor(CLIP) for each in largest[D])
        assert all(each.max() > 0.9 for each in largest[G])

    def test_the_limit_is_that_of_the_settings_and_0_is_none(self):
        wide, free = single("wgan", 1, clip=0.5), single("wgan", 1, clip=0.0)
        for gan in (wide, free):
            train_step(gan, 0, batch(gan.family, 4), 1.0, 0.5)
        assert max(weight.abs().max().item() for weight in wide.weights[D]) == 0.5
        assert max(weight.abs().max().item() for weight in free.weights[D]) > 0.9

    def test_a_weight_within_the_limit_does_not_change(self):
        """Equal steps of D with a limit that only gammas reach, and without one."""
        wide, free = single("wgan", 1, clip=0.5), single("wgan", 1, clip=0.0)
        gradients = [torch.ones_like(weight) for weight in wide.weights[D]]
        for gan in (wide, free):
            gan.learning_rates = {D: torch.tensor(5e-4, dtype=torch.float64)}
            gan.update_weights(D, gradients)
        assert all(
            torch.equal(one, other.clamp(-0.5, 0.5)) for one, other in zip(wide.weights[D], free.weights[D])
        )
        assert sum(not torch.equal(*pair) for pair in zip(wide.weights[D], free.weights[D])) == 1


def singular(weight: torch.Tensor) -> float:
    """The largest singular value, by another way than power iteration."""
    return float(torch.linalg.svdvals(weight.detach().double().flatten(1))[0])


class TestSpectralNormInTraining:
    @pytest.mark.parametrize(("name", "steps"), [("projection_cgan", 25), ("fairness_gan", 12)])
    def test_one_power_iteration_per_step_follows_the_weights(self, name, steps):
        """At a high learning rate values exceed 1 by the lag, far less than with the first vectors."""
        gan = single(name, 3, discriminator_optimizer=Optimizer(learning_rate=5e-3))
        first = [direction.clone() for direction in gan.directions[D]]
        for number in range(steps):
            train_step(gan, number, batch(gan.family, 8, number), 1.0, 0.5)
        layers = spectral_layers(gan.networks[D])
        values = [singular(layer.effective_weight()) for layer in layers]
        for layer, direction in zip(layers, first, strict=True):
            layer.direction.copy_(direction)
        stale = max(singular(layer.effective_weight()) for layer in layers)
        assert min(values) > 0.999
        assert max(values) < 1.1
        assert stale > 1.25
