"""95 % confidence intervals of accuracies and of their differences."""

from __future__ import annotations

import math

import numpy as np

_Z95 = 1.959963984540054


def wilson(correct: float, total: float) -> tuple[float, float]:
    """Interval of the proportion correct / total (Wilson 1927).

    It stays within [0, 1] and keeps its coverage near 1, unlike p +- 1.96 s.
    Counts are integers, or fractional effective counts for clustered data.
    """
    fraction, z2 = correct / total, _Z95**2
    centre = (fraction + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(fraction * (1 - fraction) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def clustered_wilson(correct: np.ndarray) -> tuple[float, float]:
    """Wilson interval of correct.mean() where only the rows are independent.

    correct: bool (N, A): N images with A predictions each. Predictions for one image are correlated, so the
    interval uses an effective count: that of independent predictions with the variance observed between
    images (Korn and Graubard 1998), at least N and at most N x A. It is N where no image differs from
    another.
    """
    images, attributes = correct.shape
    fraction, variance = correct.mean(), correct.mean(1).var(ddof=1) if images > 1 else 0.0
    effective = images * fraction * (1 - fraction) / variance if variance else images
    effective = min(max(effective, images), images * attributes)
    return wilson(fraction * effective, effective)


def paired_difference(correct: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """(difference, low, high) of the mean of correct - reference.

    correct, reference: (N,), by test image whether it is classified correctly, or the fraction of its
    attributes that are. Most images get the same answer from both classifiers, so pairing narrows the
    interval. Half an observation is added to each outcome of a pair (Agresti and Min 2005), so that two
    classifiers that never differ do not appear to be certainly equal.
    """
    change = correct.astype(np.float64) - reference
    count, mean = len(change) + 2, float(change.mean())
    squares = (change**2).sum() + 1
    centre = change.sum() / count
    half = _Z95 * math.sqrt(max(0.0, squares / count - centre**2) / count)
    return mean, centre - half, centre + half
