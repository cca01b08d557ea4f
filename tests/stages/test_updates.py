"""Update rules against steps worked out by hand; objectives at known points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stages.train_generators.objectives import NonSaturating
from stages.train_generators.updates import D, G, sequential, simultaneous

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class Game:
    """One weight each: G makes g * z, D answers d * x, and steps are plain gradient descent. Latents are 2, then 3."""

    def __init__(self, g: float, d: float, smoothing: float = 0.0):
        self.weights = {G: torch.tensor(g, requires_grad=True), D: torch.tensor(d, requires_grad=True)}
        self.objective = NonSaturating(smoothing)
        self.drawn = iter([2.0, 3.0])

    def latents(self, count):
        return torch.full((count,), next(self.drawn))

    def augment(self, images):
        return images

    def generator(self, latents):
        return (self.weights[G] * latents).view(-1, 1, 1, 1)

    def discriminator(self, images):
        return self.weights[D] * images.flatten()

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].abs()

    def descend(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def real(x: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), x)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sequential_takes_three_steps_each_from_the_weights_before(smoothing):
    g, d, x = 0.7, 0.4, 1.5
    players = Game(g, d, smoothing)
    tracked = sequential(players, real(x))

    # D on real: the gradient of softplus(-dx) + s dx is (-(1 - sigmoid(dx)) + s) x
    real_logit = d * x
    after_real = d - RATE * (-(1 - sigmoid(real_logit)) + smoothing) * x
    # D on a fresh fake from latent 2: softplus(d g z)
    fake = g * 2
    after_fake = after_real - RATE * sigmoid(after_real * fake) * fake
    # G on another fresh latent, 3, through the updated D: softplus(-d g z)
    logit = after_fake * g * 3
    after_g = g - RATE * -(1 - sigmoid(logit)) * after_fake * 3

    assert players.weights[D].item() == pytest.approx(after_fake, rel=1e-6)
    assert players.weights[G].item() == pytest.approx(after_g, rel=1e-6)
    expected = [
        -math.log(sigmoid(real_logit)) + smoothing * real_logit,
        -math.log(1 - sigmoid(after_real * fake)),
        -math.log(sigmoid(logit)),
        1.0,
        0.0,
        (1 - sigmoid(logit)) * after_fake * 3,
    ]
    assert tracked.tolist() == pytest.approx(expected, rel=1e-5)


def test_simultaneous_uses_one_fake_batch_and_the_old_weights_of_both():
    g, d, x = 0.7, 0.4, 1.5
    players = Game(g, d)
    tracked = simultaneous(players, real(x))
    fake = g * 2
    d_gradient = -(1 - sigmoid(d * x)) * x + sigmoid(d * fake) * fake
    g_gradient = -(1 - sigmoid(d * fake)) * d * 2
    assert players.weights[D].item() == pytest.approx(d - RATE * d_gradient, rel=1e-6)
    assert players.weights[G].item() == pytest.approx(g - RATE * g_gradient, rel=1e-6)
    assert tracked[2].item() == pytest.approx(-math.log(sigmoid(d * fake)), rel=1e-5)


def test_objectives_at_known_points():
    zero, far = torch.zeros(3), torch.full((2,), 50.0)
    objective = NonSaturating()
    assert objective.real(zero).item() == objective.fake(zero).item() == pytest.approx(math.log(2))
    assert objective.real(far).item() == pytest.approx(0, abs=1e-12) and objective.fake(far).item() == pytest.approx(50)
    assert objective.generator(-far).item() == pytest.approx(50)


def test_label_smoothing_is_cross_entropy_with_a_softened_target():
    logits = torch.tensor([-2.0, 0.3, 4.0])
    softened = nn.functional.binary_cross_entropy_with_logits(logits, torch.full((3,), 0.9))
    assert NonSaturating(0.1).real(logits).item() == pytest.approx(softened.item(), rel=1e-6)
