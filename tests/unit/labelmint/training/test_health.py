"""Health statuses at their thresholds, and the spacing of images."""

from __future__ import annotations

import pytest
import torch

from labelmint.training import health
from labelmint.training.health import Monitor, spacing

ROW = {"d_acc_real": 0.7, "d_acc_fake": 0.7, "g_gradient": 1.0, "g_loss": 1.0}


def test_spacing_is_the_median_distance_to_the_nearest_neighbour():
    flat = torch.tensor([10, 13, 100, 104], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 16, 16)
    assert spacing(flat) == pytest.approx(3)  # torch's median: the lower of the two middle values


def test_copies_of_three_images_are_a_collapse():
    real = torch.randint(
        0, 256, (64, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    copies = real[torch.arange(64) % 3]
    assert Monitor(spacing(real)).evaluate(ROW, copies, 0.5) == (0.0, health.COLLAPSED)
    diversity, status = Monitor(spacing(real)).evaluate(ROW, real.roll(1, 2), 0.5)
    assert status == health.OK
    assert diversity == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"g_loss": float("nan")}, health.NOT_FINITE),
        ({"d_acc_real": 1.0, "d_acc_fake": 0.999}, health.SATURATED),
        ({"g_gradient": 1e-5}, health.VANISHING),
    ],
)
def test_statuses_from_the_numbers(change, status):
    images = torch.arange(64, dtype=torch.uint8).view(-1, 1, 1, 1).expand(64, 1, 8, 8)
    monitor = Monitor(1.0)
    assert monitor.evaluate(ROW, images, 0.3)[1] == health.OK
    for epoch in range(3):
        assert not monitor.failed or (status == health.NOT_FINITE and epoch)
        assert monitor.evaluate(ROW | change, images, 0.4)[1] == status
    assert monitor.failed
    assert monitor.evaluate(ROW, images, 0.5)[1] == health.OK
    assert not monitor.failed
