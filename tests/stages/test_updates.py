"""Update rules against steps worked out by hand; objectives at known points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stages.train_generators.objectives import NonSaturating
from stages.train_generators.updates import Draws, Players, sequential, simultaneous

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class Scale(nn.Module):
    """One weight: G makes weight * z, D answers weight * x."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, values, rng=None):
        return (self.weight * values).flatten()


def game(g: float, d: float, smoothing: float = 0.0):
    generator, discriminator = Scale(g), Scale(d)
    descend = (torch.optim.SGD(network.parameters(), RATE) for network in (generator, discriminator))
    players = Players(generator, discriminator, *descend, NonSaturating(smoothing))
    latents = iter([2.0, 3.0])
    draws = Draws(lambda count: torch.full((count,), next(latents)), lambda images: images, torch.Generator())
    return players, draws


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sequential_takes_three_steps_each_from_the_weights_before(smoothing):
    g, d, x = 0.7, 0.4, 1.5
    players, draws = game(g, d, smoothing)
    tracked = sequential(players, torch.tensor([x]), draws)

    # D on real: the gradient of softplus(-dx) + s dx is (-(1 - sigmoid(dx)) + s) x
    real_logit = d * x
    after_real = d - RATE * (-(1 - sigmoid(real_logit)) + smoothing) * x
    # D on a fresh fake from latent 2: softplus(d g z)
    fake = g * 2
    after_fake = after_real - RATE * sigmoid(after_real * fake) * fake
    # G on another fresh latent, 3, through the updated D: softplus(-d g z)
    logit = after_fake * g * 3
    after_g = g - RATE * -(1 - sigmoid(logit)) * after_fake * 3

    assert players.discriminator.weight.item() == pytest.approx(after_fake, rel=1e-6)
    assert players.generator.weight.item() == pytest.approx(after_g, rel=1e-6)
    expected = [
        -math.log(sigmoid(real_logit)) + smoothing * real_logit,
        -math.log(1 - sigmoid(after_real * fake)),
        -math.log(sigmoid(logit)),
        1.0,
        0.0,
    ]
    assert tracked.tolist() == pytest.approx(expected, rel=1e-5)
    assert players.discriminator.weight.requires_grad


def test_simultaneous_uses_one_fake_batch_and_the_old_weights_of_both():
    g, d, x = 0.7, 0.4, 1.5
    players, draws = game(g, d)
    tracked = simultaneous(players, torch.tensor([x]), draws)
    fake = g * 2
    d_gradient = -(1 - sigmoid(d * x)) * x + sigmoid(d * fake) * fake
    g_gradient = -(1 - sigmoid(d * fake)) * d * 2
    assert players.discriminator.weight.item() == pytest.approx(d - RATE * d_gradient, rel=1e-6)
    assert players.generator.weight.item() == pytest.approx(g - RATE * g_gradient, rel=1e-6)
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
