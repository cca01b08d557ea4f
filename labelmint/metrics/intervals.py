"""95 % confidence intervals of proportions and of differences between independent ones."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)
Interval = tuple[float, float, float]
"""A value, and the ends of its interval."""

Z95 = 1.959963984540054


def wilson(correct: Number, total: Number) -> tuple[Number, Number]:
    """Interval of the proportion correct / total (Wilson 1927).

    It stays within [0, 1] and keeps its coverage near 1, unlike p +- 1.96 s.
    Counts are integers, or fractional effective counts for clustered data.
    """
    fraction, z2 = correct / total, Z95**2
    centre = (fraction + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 / (1 + z2 / total) * np.sqrt(fraction * (1 - fraction) / total + z2 / (4 * total**2))
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def independent_difference(first: Interval, second: Interval) -> Interval:
    """First - second, of two independent estimates with their intervals.

    The distances from each value to the ends of its interval are squared and added (Newcombe 1998, method 10;
    Zou and Donner 2008 for any two intervals), so that asymmetric intervals give an asymmetric one.
    """
    (value, low, high), (other, other_low, other_high) = first, second
    difference = value - other
    return (
        difference,
        difference - float(np.hypot(value - low, other_high - other)),
        difference + float(np.hypot(high - value, other - other_low)),
    )
