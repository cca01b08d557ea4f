"""The alternating update rule against steps worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from labelmint.gans.objectives import NonSaturating, Relativistic, Wasserstein
from labelmint.training.updates import TRACKED, D, G, Real, alternating
from tests.unit.labelmint.training.scalar_gan import RATE, ScalarGan, sigmoid


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def real(*values: float) -> Real:
    return Real(torch.tensor(values).view(-1, 1, 1, 1), torch.zeros(len(values), 0))


def test_d_steps_on_both_batches_together_and_g_against_the_updated_d():
    gan = ScalarGan(0.7, 0.4, [2.0, 3.0], NonSaturating(), update="alternating")
    tracked = dict(zip(TRACKED, alternating(gan, real(1.5)).tolist()))
    fake = 0.7 * 2
    after_d = 0.4 - RATE * (-(1 - sigmoid(0.4 * 1.5)) * 1.5 + sigmoid(0.4 * fake) * fake)
    logit = after_d * 0.7 * 3
    after_g = 0.7 + RATE * (1 - sigmoid(logit)) * after_d * 3
    assert gan.weights[D].item() == pytest.approx(after_d, rel=1e-6)
    assert gan.weights[G].item() == pytest.approx(after_g, rel=1e-6)
    assert tracked["d_loss_fake"] == pytest.approx(softplus(0.4 * fake), rel=1e-6)  # D before its step
    assert tracked["g_loss"] == pytest.approx(softplus(-logit), rel=1e-6)


def test_each_critic_step_has_its_own_real_images():
    """Wasserstein's d grows by RATE (real - fake) per step. Real images are 2, then 5; fakes are 0.5 z."""
    gan = ScalarGan(0.5, 0.0, [1.0, 2.0, 4.0], Wasserstein(), update="alternating", n_critic=2)
    alternating(gan, real(2.0, 5.0))
    d = RATE * (2 - 0.5) + RATE * (5 - 1)
    assert gan.weights[D].item() == pytest.approx(d)
    assert gan.weights[G].item() == pytest.approx(0.5 + RATE * d * 4)


def test_a_relativistic_g_compares_fresh_fakes_with_the_same_real_images():
    gan = ScalarGan(0.5, 0.4, [1.0, 2.0], Relativistic(), update="alternating")
    alternating(gan, real(3.0))
    after_d = 0.4 + RATE * sigmoid(0.4 * (0.5 - 3)) * (3 - 0.5)
    after_g = 0.5 + RATE * sigmoid(after_d * (3 - 1)) * after_d * 2
    assert gan.weights[D].item() == pytest.approx(after_d, rel=1e-6)
    assert gan.weights[G].item() == pytest.approx(after_g, rel=1e-6)
