"""Fairness gaps between the groups of a protected attribute C, with bootstrap intervals: of labels, and of a classifier.

Demographic parity: P(Y = 1 | C = 1) - P(Y = 1 | C = 0), 0 when the outcome does not depend on the group. Equality of
opportunity: the same among those whose true outcome is 1, the gap of true positive rates (Hardt et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Gap = dict[str, float]


def data_gaps(protected: np.ndarray, outcome: np.ndarray, resamples: int) -> dict[str, Gap | None]:
    """Of labels. protected, outcome: (N,) of 0 and 1. Returns: demographic_parity: value, low, high (95 %)."""
    return {"demographic_parity": gap(protected > 0.5, outcome > 0.5, resamples)}


def classifier_gaps(protected: np.ndarray, outcome: np.ndarray, told: np.ndarray, resamples: int) -> dict[str, Any]:
    """Of a classifier. protected and outcome are the images' own; told: what it says of the outcome. (N,) of 0 and 1.

    Returns: demographic_parity, equality_of_opportunity, false_positive_rate: gaps; error_rates: of the group without and with C.
    """
    protected, outcome, told = protected > 0.5, outcome > 0.5, told > 0.5
    wrong = outcome != told
    return {
        "demographic_parity": gap(protected, told, resamples),
        "equality_of_opportunity": gap(protected[outcome], told[outcome], resamples),
        "false_positive_rate": gap(protected[~outcome], told[~outcome], resamples),
        "error_rates": [float(wrong[group].mean()) if group.any() else None for group in (~protected, protected)],
    }


def changes(protected: np.ndarray, outcome: np.ndarray, before: np.ndarray, after: np.ndarray, resamples: int) -> dict[str, Gap | None]:  # fmt: skip
    """How far the gaps of one classifier are from another's on the same images, the bootstrap paired. before, after: what the two tell, (N,)."""
    protected, outcome = protected > 0.5, outcome > 0.5
    change = (after > 0.5).astype(float) - (before > 0.5)
    return {
        "demographic_parity": gap(protected, change, resamples),
        "equality_of_opportunity": gap(protected[outcome], change[outcome], resamples),
        "false_positive_rate": gap(protected[~outcome], change[~outcome], resamples),
    }


def gap(protected: np.ndarray, event: np.ndarray, resamples: int) -> Gap | None:
    """P(event | protected) - P(event | not), with its 95 % percentile bootstrap interval; None where a group is empty.

    event: (N,), whether it comes about; or how far that changes, -1 to 1.
    """
    if not protected.any() or protected.all():
        return None
    return bootstrap(lambda rows: _difference(protected[rows], event[rows]), len(protected), resamples)


def _difference(protected: np.ndarray, event: np.ndarray) -> float:
    if not protected.any() or protected.all():
        return float("nan")
    return float(event[protected].mean() - event[~protected].mean())


def bootstrap(statistic: Callable[[np.ndarray], float], count: int, resamples: int) -> Gap:
    """statistic: of rows. The interval lies between the 2.5 % and 97.5 % quantiles over resamples (Efron 1979).

    Resamples in which a group is empty count in none.
    """
    rng = np.random.default_rng(0)
    values = [statistic(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return {"value": statistic(np.arange(count)), "low": float(low), "high": float(high)}
