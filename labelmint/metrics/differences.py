"""Two classifiers on the same test images: the difference of their accuracies, with the interval that pairing allows."""

from __future__ import annotations

import math

import numpy as np

_Z95 = 1.959963984540054


def paired(right: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """(difference, low, high) of right - reference, 95 %.

    right, reference: (N,), per test image whether it (or what share of its attributes) is told right. Most images are told
    alike by both, so that the interval is narrower than that of two apart. Agresti and Min (2005): half an observation is
    added to each way in which a pair may turn out, so that two that never differ do not seem beyond doubt.
    """
    change = right.astype(np.float64) - reference
    count, mean = len(change) + 2, float(change.mean())
    squares = (change**2).sum() + 1
    centre = change.sum() / count
    half = _Z95 * math.sqrt(max(0.0, squares / count - centre**2) / count)
    return mean, centre - half, centre + half
