"""The alternating update rule against steps worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from labelmint.gans.objectives import NonSaturating, Objective, Relativistic, Wasserstein
from labelmint.gans.settings import Family
from labelmint.training.updates import TRACKED, D, G, Players, Real, alternating

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


class ScalarPlayers(Players):
    """One weight each: G(z) = g z and D(x) = d x, with plain gradient descent on the given latents."""

    def __init__(self, g: float, d: float, latents: list[float], objective: Objective, **family):
        self.weights = {G: torch.tensor(g, requires_grad=True), D: torch.tensor(d, requires_grad=True)}
        self.objective, self.family = objective, Family(update="alternating", **family)
        self.anchors, self.latents = torch.zeros(2), iter(latents)

    def generate(self, labels):
        return (self.weights[G] * torch.full((len(labels),), next(self.latents))).view(-1, 1, 1, 1), labels

    def augment(self, images):
        return images

    def discriminator(self, images, labels):
        return self.weights[D] * images.flatten(1)

    def uniform(self, count):
        return torch.zeros(count)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].abs()

    def step(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def real(*values: float) -> Real:
    return Real(torch.tensor(values).view(-1, 1, 1, 1), torch.zeros(len(values), 0))


def test_d_steps_on_both_batches_together_and_g_against_the_updated_d():
    players = ScalarPlayers(0.7, 0.4, [2.0, 3.0], NonSaturating())
    tracked = dict(zip(TRACKED, alternating(players, real(1.5)).tolist()))
    fake = 0.7 * 2
    after_d = 0.4 - RATE * (-(1 - sigmoid(0.4 * 1.5)) * 1.5 + sigmoid(0.4 * fake) * fake)
    logit = after_d * 0.7 * 3
    after_g = 0.7 + RATE * (1 - sigmoid(logit)) * after_d * 3
    assert players.weights[D].item() == pytest.approx(after_d, rel=1e-6)
    assert players.weights[G].item() == pytest.approx(after_g, rel=1e-6)
    assert tracked["d_loss_fake"] == pytest.approx(softplus(0.4 * fake), rel=1e-6)  # D before its step
    assert tracked["g_loss"] == pytest.approx(softplus(-logit), rel=1e-6)


def test_each_critic_step_has_its_own_real_images():
    """Wasserstein's d grows by RATE (real - fake) per step. Real images are 2, then 5; fakes are 0.5 z."""
    players = ScalarPlayers(0.5, 0.0, [1.0, 2.0, 4.0], Wasserstein(), n_critic=2)
    alternating(players, real(2.0, 5.0))
    d = RATE * (2 - 0.5) + RATE * (5 - 1)
    assert players.weights[D].item() == pytest.approx(d)
    assert players.weights[G].item() == pytest.approx(0.5 + RATE * d * 4)


def test_a_relativistic_g_compares_fresh_fakes_with_the_same_real_images():
    players = ScalarPlayers(0.5, 0.4, [1.0, 2.0], Relativistic())
    alternating(players, real(3.0))
    after_d = 0.4 + RATE * sigmoid(0.4 * (0.5 - 3)) * (3 - 0.5)
    after_g = 0.5 + RATE * sigmoid(after_d * (3 - 1)) * after_d * 2
    assert players.weights[D].item() == pytest.approx(after_d, rel=1e-6)
    assert players.weights[G].item() == pytest.approx(after_g, rel=1e-6)
