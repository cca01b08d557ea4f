"""Losses of the objectives at known points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labelmint.gans.objectives import (
    Auxiliary,
    DiscriminatorOutput,
    Hinge,
    NonSaturating,
    Relativistic,
    Wasserstein,
)


def output(logits: torch.Tensor, labels: torch.Tensor | None = None) -> DiscriminatorOutput:
    """D's output. logits: (N,), or (N, heads)."""
    labels = torch.zeros(len(logits), 0) if labels is None else labels
    outputs = logits if logits.dim() > 1 else logits[:, None]
    return DiscriminatorOutput(outputs, labels, labels, torch.zeros(len(logits), 1, 1, 1))


def test_objectives_at_known_points():
    zero, far = output(torch.zeros(3)), torch.full((2,), 50.0)
    objective = NonSaturating()
    assert objective.real(zero).item() == objective.fake(zero).item() == pytest.approx(math.log(2))
    assert objective.real(output(far)).item() == pytest.approx(0, abs=1e-12)
    assert objective.fake(output(far)).item() == pytest.approx(50)
    assert objective.generator(output(-far)).item() == pytest.approx(50)
    mixed = output(torch.tensor([-2.0, 0.5, 3.0]))
    assert Hinge().real(mixed).item() == pytest.approx((3 + 0.5 + 0) / 3)
    assert Hinge().fake(mixed).item() == pytest.approx((0 + 1.5 + 4) / 3)
    assert Wasserstein().real(mixed).item() == pytest.approx(-0.5) == -Wasserstein().fake(mixed).item()
    assert Hinge().generator(mixed).item() == Wasserstein().generator(mixed).item() == pytest.approx(-0.5)


def test_relativistic_compares_pairs():
    above, below = output(torch.tensor([7.0, 7.0])), output(torch.tensor([5.0, 7.0]))
    halves = Relativistic().discriminator(above, below)
    assert sum(halves).item() == pytest.approx((math.log1p(math.exp(-2)) + math.log(2)) / 2)
    assert Relativistic().against(below, above).item() == pytest.approx(
        (math.log1p(math.exp(2)) + math.log(2)) / 2
    )


def test_auxiliary_adds_the_cross_entropy_of_the_labels():
    outputs = torch.tensor([[0.0, 1.0, 2.0], [0.0, -1.0, 3.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    objective = Auxiliary(NonSaturating(), weight=2.0, generator_weight=0.1)
    entropy = nn.functional.cross_entropy(outputs[:, 1:], torch.tensor([0, 1])).item()
    assert objective.real(output(outputs, labels)).item() == pytest.approx(math.log(2) + 2 * entropy)
    assert objective.generator(output(outputs, labels)).item() == pytest.approx(math.log(2) + 0.1 * entropy)
    each = nn.functional.binary_cross_entropy_with_logits(outputs[:, 1:], labels).item()
    assert Auxiliary(Hinge(), True).fake(output(outputs, labels)).item() == pytest.approx(1 + each)


def test_label_smoothing_is_cross_entropy_with_a_softened_target():
    logits = torch.tensor([-2.0, 0.3, 4.0])
    softened = nn.functional.binary_cross_entropy_with_logits(logits, torch.full((3,), 0.9))
    assert NonSaturating(0.1).real(output(logits)).item() == pytest.approx(softened.item(), rel=1e-6)
