"""Adam against torch's own; the schedules of the moving average and of the learning rate."""

from __future__ import annotations

import pytest
import torch

from labelmint.gans.settings import Optimizer
from labelmint.training.engine import optimizers
from labelmint.training.engine.optimizers import OneCycle, ema_weight, learning_rate_factor


@pytest.fixture(scope="module")
def torch_adam() -> type[torch.optim.Adam]:
    """The Adam of torch.optim, after its first use, which imports torch's compiler for seconds."""
    weight = torch.zeros(1, requires_grad=True)
    torch.optim.Adam([weight])
    return torch.optim.Adam


@pytest.mark.parametrize("kernel", [1, 3])
def test_adam_is_that_of_torch_for_any_layout_of_the_gradient(torch_adam, kernel):
    rng, shape = torch.Generator().manual_seed(0), (6, 4, kernel, kernel)
    weight = torch.randn(shape, generator=rng).contiguous(memory_format=torch.channels_last)
    ours, theirs = weight.clone(memory_format=torch.preserve_format), weight.clone().requires_grad_()
    adam = optimizers.build([ours], Optimizer("adam", 1e-3, 0.5, 0.999))
    reference = torch_adam([theirs], 1e-3, (0.5, 0.999))
    for step in range(5):
        gradient = torch.randn(shape, generator=rng)
        adam.step([gradient], torch.tensor(1e-3, dtype=torch.float64))
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


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.01), (0.0, 0.0), (0.9, 0.0)])
def test_sgd_is_that_of_torch(torch_adam, momentum, decay):
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=rng)
    ours, theirs = weight.clone(), weight.clone().requires_grad_()
    sgd, reference = (
        optimizers.SGD([ours], momentum, decay),
        torch.optim.SGD([theirs], 0.1, momentum, weight_decay=decay),
    )
    for step in range(5):
        theirs.grad = torch.randn(6, 4, generator=rng)
        reference.param_groups[0]["lr"] = 0.1 / (step + 3)
        sgd.step([theirs.grad], torch.tensor(0.1 / (step + 3), dtype=torch.float64))
        reference.step()
        assert torch.equal(ours, theirs), step


def test_adamw_is_that_of_torch(torch_adam):
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=rng)
    ours, theirs = weight.clone(), weight.clone().requires_grad_()
    adam = optimizers.Adam([ours], 0.9, 0.999, 0.01)
    reference = torch.optim.AdamW([theirs], 1e-3, weight_decay=0.01, fused=True)
    for step in range(5):
        theirs.grad = torch.randn(6, 4, generator=rng)
        adam.step([theirs.grad], torch.tensor(1e-3, dtype=torch.float64))
        reference.step()
        assert torch.equal(ours, theirs), step


@pytest.mark.parametrize(("steps", "rising"), [(40, 0.3), (200, 0.2), (7, 0.2), (1, 0.3)])
def test_one_cycle_is_that_of_torch(torch_adam, steps, rising):
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=rising)
    rate, beta = OneCycle.of_rate(2e-3, rising), OneCycle(0.95, 0.85, 0.95, rising)
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"][0]) == (rate.at(step, steps), beta.at(step, steps)), step
        optimizer.step()
        if step < steps - 1:
            schedule.step()


def test_one_cycle_of_five_steps_starts_at_its_peak():
    """A fifth of five steps is one, which torch's schedule divides by zero."""
    assert OneCycle.of_rate(1.0, 0.2).at(0, 5) == 1.0
