"""Update rules against steps worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from labelmint.gans.objectives import NonSaturating
from labelmint.training.updates import D, G, Real, sequential, simultaneous
from tests.unit.labelmint.training.scalar_gan import RATE, ScalarGan, sigmoid


def real(x: float) -> Real:
    return Real(torch.full((1, 1, 1, 1), x), torch.zeros(1, 0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sequential_takes_three_steps_each_from_the_weights_of_the_step_before(smoothing):
    g, d, x = 0.7, 0.4, 1.5
    gan = ScalarGan(g, d, [2.0, 3.0], NonSaturating(smoothing))
    tracked = sequential(gan, real(x))

    # D on real: the gradient of softplus(-dx) + s dx is (-(1 - sigmoid(dx)) + s) x
    real_logit = d * x
    after_real = d - RATE * (-(1 - sigmoid(real_logit)) + smoothing) * x
    # D on a fresh fake from latent 2: softplus(d g z)
    fake = g * 2
    after_fake = after_real - RATE * sigmoid(after_real * fake) * fake
    # G on another fresh latent, 3, through the updated D: softplus(-d g z)
    logit = after_fake * g * 3
    after_g = g - RATE * -(1 - sigmoid(logit)) * after_fake * 3

    assert gan.weights[D].item() == pytest.approx(after_fake, rel=1e-6)
    assert gan.weights[G].item() == pytest.approx(after_g, rel=1e-6)
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


def test_simultaneous_uses_one_generated_batch_and_the_weights_before_the_step():
    g, d, x = 0.7, 0.4, 1.5
    gan = ScalarGan(g, d, [2.0, 3.0], NonSaturating(0.0))
    tracked = simultaneous(gan, real(x))
    fake = g * 2
    d_gradient = -(1 - sigmoid(d * x)) * x + sigmoid(d * fake) * fake
    g_gradient = -(1 - sigmoid(d * fake)) * d * 2
    assert gan.weights[D].item() == pytest.approx(d - RATE * d_gradient, rel=1e-6)
    assert gan.weights[G].item() == pytest.approx(g - RATE * g_gradient, rel=1e-6)
    assert tracked[2].item() == pytest.approx(-math.log(sigmoid(d * fake)), rel=1e-5)
