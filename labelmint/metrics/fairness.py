"""Fairness gaps of labels and of classifiers between the groups of a protected attribute C.

Demographic parity: P(Y = 1 | C = 1) - P(Y = 1 | C = 0), 0 when the outcome Y does not depend on the group.
Equality of opportunity: the same among images whose true outcome is 1, the gap of true positive rates (Hardt
et al. 2016). Arrays are (N,) of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import numpy as np

Gap = Optional[dict[str, float]]
"""value, low and high (95 %); None where a group is empty."""


def data_gaps(protected: np.ndarray, outcome: np.ndarray, resamples: int) -> dict[str, Gap]:
    """Gap of labels: demographic_parity."""
    return {"demographic_parity": gap(protected > 0.5, outcome > 0.5, resamples)}


def classifier_gaps(
    protected: np.ndarray, outcome: np.ndarray, predictions: np.ndarray, resamples: int
) -> dict[str, Any]:
    """Gaps of a classifier. protected, outcome: true labels. predictions: of the outcome.

    Returns: demographic_parity, equality_of_opportunity, false_positive_rate; error_rates of the groups C =
    0, C = 1.
    """
    protected, outcome, predictions = protected > 0.5, outcome > 0.5, predictions > 0.5
    wrong = outcome != predictions
    return {
        **_gaps(protected, outcome, predictions, resamples),
        "error_rates": [
            float(wrong[group].mean()) if group.any() else None for group in (~protected, protected)
        ],
    }


def changes(
    protected: np.ndarray, outcome: np.ndarray, before: np.ndarray, after: np.ndarray, resamples: int
) -> dict[str, Gap]:
    """Differences between the gaps of two classifiers on the same images, by a paired bootstrap.

    before, after: predictions of the outcome by either.
    """
    change = (after > 0.5).astype(float) - (before > 0.5)
    return _gaps(protected > 0.5, outcome > 0.5, change, resamples)


def _gaps(protected: np.ndarray, outcome: np.ndarray, event: np.ndarray, resamples: int) -> dict[str, Gap]:
    return {
        "demographic_parity": gap(protected, event, resamples),
        "equality_of_opportunity": gap(protected[outcome], event[outcome], resamples),
        "false_positive_rate": gap(protected[~outcome], event[~outcome], resamples),
    }


def gap(protected: np.ndarray, event: np.ndarray, resamples: int) -> Gap:
    """P(event | protected) - P(event | not protected), with its percentile bootstrap interval.

    protected: bool (N,). event: bool (N,), or its change, -1 to 1.
    """
    if not protected.any() or protected.all():
        return None
    return bootstrap(lambda rows: _difference(protected[rows], event[rows]), len(protected), resamples)


def _difference(protected: np.ndarray, event: np.ndarray) -> float:
    if not protected.any() or protected.all():
        return float("nan")
    return float(event[protected].mean() - event[~protected].mean())


def bootstrap(statistic: Callable[[np.ndarray], float], count: int, resamples: int) -> dict[str, float]:
    """Value of a statistic of rows, and the 2.5 % and 97.5 % quantiles over resamples (Efron 1979).

    statistic: takes int64 rows below `count`. Resamples for which it is NaN, since a group is empty, are left
    out.
    """
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return {"value": statistic(np.arange(count)), "low": float(low), "high": float(high)}
