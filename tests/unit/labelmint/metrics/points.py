"""Points of known distributions."""

from __future__ import annotations

import numpy as np


def gaussian(count: int, size: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Standard normal points, (count, size), moved by `shift` in every dimension."""
    return np.random.default_rng(seed).normal(shift, 1, (count, size))


def overlapping_classes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping classes in 12 dimensions: float64 (count, 12), int64 (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return rng.normal(0, 1, (count, 12)) + 1.2 * np.eye(3, 12)[labels], labels
