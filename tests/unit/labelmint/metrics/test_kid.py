"""Kernel distance at known answers."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import kid
from labelmint.metrics.kid import kernel_distance
from tests.unit.labelmint.metrics.points import gaussian


def kernel(first: np.ndarray, second: np.ndarray) -> float:
    return float((first @ second / len(first) + 1) ** 3)


def test_agrees_with_the_sum_over_all_pairs():
    first, second = gaussian(30, 5, 0), gaussian(40, 5, 1, 0.5)
    within = [
        np.mean([kernel(part[i], part[j]) for i in range(len(part)) for j in range(len(part)) if i != j])
        for part in (first, second)
    ]
    between = np.mean([kernel(a, b) for a in first for b in second])
    assert kernel_distance(first, second) == pytest.approx(sum(within) - 2 * between, rel=1e-9)


def test_is_unbiased_at_zero():
    values = [kernel_distance(gaussian(50, 4, seed), gaussian(50, 4, seed + 1000)) for seed in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert min(values) < 0  # a biased estimate is never below zero


def test_chunks_change_nothing(monkeypatch):
    first, second = gaussian(70, 4, 0), gaussian(70, 4, 1, 0.3)
    whole = kernel_distance(first, second)
    monkeypatch.setattr(kid, "_CHUNK", 13)
    assert kernel_distance(first, second) == pytest.approx(whole, rel=1e-12)
