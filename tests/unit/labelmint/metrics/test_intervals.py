"""Confidence intervals at published values, and in their coverage."""

from __future__ import annotations

import pytest

from labelmint.metrics.intervals import independent_difference, wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_at_values_tabled_by_newcombe_1998(correct, total, low, high):
    assert wilson(float(correct), float(total)) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_differences_tabled_by_newcombe_1998(first, second, low, high):
    """Statistics in Medicine 17:873, table II, method 10."""
    one, other = ((hits / total, *wilson(float(hits), float(total))) for hits, total in (first, second))
    found = independent_difference(one, other)
    assert found == pytest.approx((first[0] / first[1] - second[0] / second[1], low, high), abs=5e-5)
