"""A discriminator that is always right is unhealthy only where it leaves the generator no gradient."""

from __future__ import annotations

import math

import pytest
import torch

from labelmint.gans import registry
from labelmint.gans.objectives import Wasserstein
from labelmint.training import health
from labelmint.training.health import Monitor
from tests.tiny_families import FAMILIES

IMAGES = torch.arange(64, dtype=torch.uint8).view(-1, 1, 1, 1).expand(64, 1, 8, 8)
ROW = {"d_acc_real": 1.0, "d_acc_fake": 1.0, "g_gradient": 1.0, "g_loss": 5.0}
SATURATING = ("dcgan", "vanilla", "cgan", "acgan", "attribute_cgan", "fairness_gan")


@pytest.mark.parametrize("name", FAMILIES)
def test_only_saturating_objectives_are_unhealthy(name):
    status = health.SATURATED if name in SATURATING else health.OK
    monitor = Monitor(1.0, registry.load(name).objective(FAMILIES[name]).saturates)
    assert [monitor.evaluate(ROW, IMAGES, progress)[1] for progress in (0.5, 0.6, 0.7)] == [status] * 3
    assert monitor.failed == (status != health.OK)


def test_a_wasserstein_critic_is_checked_for_everything_else():
    monitor = Monitor(1.0, Wasserstein().saturates)
    assert monitor.evaluate(ROW, IMAGES, 0.5)[1] == health.OK
    assert monitor.evaluate(ROW | {"g_gradient": 1e-4}, IMAGES, 0.5)[1] == health.VANISHING
    assert monitor.evaluate(ROW, IMAGES[:1].expand(64, -1, -1, -1), 0.5)[1] == health.COLLAPSED
    assert monitor.evaluate(ROW | {"penalty": math.inf}, IMAGES, 0.5)[1] == health.NOT_FINITE
