"""Adam against torch's own; the schedules of the moving average and of the learning rate."""

from __future__ import annotations

import pytest
import torch

from labelmint.gans.settings import Optimizer
from labelmint.training import optimizers
from labelmint.training.optimizers import ema_weight, learning_rate_factor


@pytest.fixture(scope="module")
def torch_adam() -> type[torch.optim.Adam]:
    """The Adam of torch.optim, after its first use, which imports torch's compiler for seconds."""
    weight = torch.zeros(1, requires_grad=True)
    torch.optim.Adam([weight])
    return torch.optim.Adam


def test_adam_is_that_of_torch_for_any_layout_of_the_gradient(torch_adam):
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, 3, 3, generator=rng).contiguous(memory_format=torch.channels_last)
    ours, theirs = weight.clone(memory_format=torch.preserve_format), weight.clone().requires_grad_()
    adam = optimizers.build([ours], Optimizer("adam", 1e-3, 0.5, 0.999))
    reference = torch_adam([theirs], 1e-3, (0.5, 0.999))
    for step in range(5):
        gradient = torch.randn(6, 4, 3, 3, generator=rng)
        adam.step([gradient], 1.0)
        theirs.grad = gradient
        reference.step()
        assert torch.allclose(ours, theirs, atol=1e-7), step


def test_half_life_of_the_average_is_in_images():
    assert ema_weight(100, images=100, images_seen=10_000) == pytest.approx(0.5)
    assert ema_weight(100, images=200, images_seen=10_000) == pytest.approx(0.75)
    assert ema_weight(100, images=10, images_seen=200) == pytest.approx(0.5)  # early: a twentieth of 200
    assert ema_weight(0, images=10, images_seen=200) == 1


def test_learning_rate_schedules():
    assert [learning_rate_factor("none", progress) for progress in (0, 0.9)] == [1, 1]
    assert [learning_rate_factor("linear", progress) for progress in (0, 0.5, 0.75, 1)] == [1, 1, 0.5, 0]
    cosine = [learning_rate_factor("cosine", progress) for progress in (0, 0.5, 1)]
    assert cosine == pytest.approx([1, 0.5, 0])
