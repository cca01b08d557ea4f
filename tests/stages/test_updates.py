"""Update rules against steps worked out by hand; objectives at known points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labelmint.gans.objectives import Auxiliary, Hinge, DiscriminatorOutput, NonSaturating, Relativistic, Wasserstein
from labelmint.gans.settings import Family
from labelmint.training.updates import D, G, Real, sequential, simultaneous

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class Game:
    """One weight each: G makes g * z, D answers d * x, and steps are plain gradient descent. Latents are 2, then 3."""

    def __init__(self, g: float, d: float, smoothing: float = 0.0):
        self.weights = {G: torch.tensor(g, requires_grad=True), D: torch.tensor(d, requires_grad=True)}
        self.objective, self.family, self.anchors = NonSaturating(smoothing), Family(), torch.zeros(2)
        self.drawn = iter([2.0, 3.0])

    def generate(self, labels):
        return (self.weights[G] * torch.full((len(labels),), next(self.drawn))).view(-1, 1, 1, 1), labels

    def augment(self, images):
        return images

    def discriminator(self, images, labels):
        return self.weights[D] * images.flatten(1)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].abs()

    def step(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def real(x: float) -> Real:
    return Real(torch.full((1, 1, 1, 1), x), torch.zeros(1, 0))


def judged(logits: torch.Tensor, labels: torch.Tensor | None = None) -> DiscriminatorOutput:
    """Of outputs (N,) or (N, heads)."""
    labels = torch.zeros(len(logits), 0) if labels is None else labels
    return DiscriminatorOutput(logits if logits.dim() > 1 else logits[:, None], labels, labels, torch.zeros(len(logits), 1, 1, 1))


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
        real_logit,
        after_real * fake,
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
    zero, far = judged(torch.zeros(3)), torch.full((2,), 50.0)
    objective = NonSaturating()
    assert objective.real(zero).item() == objective.fake(zero).item() == pytest.approx(math.log(2))
    assert objective.real(judged(far)).item() == pytest.approx(0, abs=1e-12)
    assert objective.fake(judged(far)).item() == pytest.approx(50)
    assert objective.generator(judged(-far)).item() == pytest.approx(50)
    said = judged(torch.tensor([-2.0, 0.5, 3.0]))
    assert Hinge().real(said).item() == pytest.approx((3 + 0.5 + 0) / 3)
    assert Hinge().fake(said).item() == pytest.approx((0 + 1.5 + 4) / 3)
    assert Wasserstein().real(said).item() == pytest.approx(-0.5) == -Wasserstein().fake(said).item()
    assert Hinge().generator(said).item() == Wasserstein().generator(said).item() == pytest.approx(-0.5)


def test_a_relativistic_pair_is_judged_by_its_difference():
    above, below = judged(torch.tensor([7.0, 7.0])), judged(torch.tensor([5.0, 7.0]))
    halves = Relativistic().discriminator(above, below)
    assert sum(halves).item() == pytest.approx((math.log1p(math.exp(-2)) + math.log(2)) / 2)
    assert Relativistic().against(below, above).item() == pytest.approx((math.log1p(math.exp(2)) + math.log(2)) / 2)


def test_an_auxiliary_classifier_pays_cross_entropy_for_the_labels():
    outputs = torch.tensor([[0.0, 1.0, 2.0], [0.0, -1.0, 3.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    objective = Auxiliary(NonSaturating(), weight=2.0, generator_weight=0.1)
    entropy = nn.functional.cross_entropy(outputs[:, 1:], torch.tensor([0, 1])).item()
    assert objective.real(judged(outputs, labels)).item() == pytest.approx(math.log(2) + 2 * entropy)
    assert objective.generator(judged(outputs, labels)).item() == pytest.approx(math.log(2) + 0.1 * entropy)
    each = nn.functional.binary_cross_entropy_with_logits(outputs[:, 1:], labels).item()
    assert Auxiliary(Hinge(), True).fake(judged(outputs, labels)).item() == pytest.approx(1 + each)


def test_label_smoothing_is_cross_entropy_with_a_softened_target():
    logits = torch.tensor([-2.0, 0.3, 4.0])
    softened = nn.functional.binary_cross_entropy_with_logits(logits, torch.full((3,), 0.9))
    assert NonSaturating(0.1).real(judged(logits)).item() == pytest.approx(softened.item(), rel=1e-6)
