"""Fairness gaps of labels and of classifiers between the groups of a protected attribute C.

Demographic parity: P(Y = 1 | C = 1) - P(Y = 1 | C = 0), 0 when the outcome Y does not depend on the group.
Equality of opportunity: the same among images whose true outcome is 1, the gap of true positive rates (Hardt
et al. 2016). Arrays are (N,) of 0 and 1.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from labelmint.metrics.intervals import Interval, independent_difference, wilson
from labelmint.metrics.replicated import Replicated

Gap = Optional[dict[str, float]]
"""value, low and high (95 %); None where a group is empty."""


def data_gaps(protected: np.ndarray, outcome: np.ndarray) -> dict[str, Gap]:
    """Gap of labels: demographic_parity."""
    return {"demographic_parity": gap(protected > 0.5, outcome > 0.5)}


def classifier_gaps(protected: np.ndarray, outcome: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    """Gaps of a classifier. protected, outcome: true labels. predictions: of the outcome.

    Returns: demographic_parity, equality_of_opportunity, false_positive_rate; error_rates of the groups C =
    0, C = 1.
    """
    protected, outcome, predictions = protected > 0.5, outcome > 0.5, predictions > 0.5
    wrong = outcome != predictions
    return {
        **_gaps(protected, outcome, predictions),
        "error_rates": [
            float(wrong[group].mean()) if group.any() else None for group in (~protected, protected)
        ],
    }


def changes(
    protected: np.ndarray, outcome: np.ndarray, before: np.ndarray, after: np.ndarray
) -> dict[str, Gap]:
    """Differences between the gaps of two classifiers on the same images, paired by image.

    before, after: predictions of the outcome by either.
    """
    change = (after > 0.5).astype(float) - (before > 0.5)
    return _gaps(protected > 0.5, outcome > 0.5, change)


def _gaps(protected: np.ndarray, outcome: np.ndarray, event: np.ndarray) -> dict[str, Gap]:
    return {
        "demographic_parity": gap(protected, event),
        "equality_of_opportunity": gap(protected[outcome], event[outcome]),
        "false_positive_rate": gap(protected[~outcome], event[~outcome]),
    }


def gap(protected: np.ndarray, event: np.ndarray) -> Gap:
    """P(event | protected) - P(event | not protected), with its interval.

    The two groups are independent, so their intervals are combined as Newcombe 1998 does (method 10): for an
    event Wilson's, for its change that of paired predictions (Agresti and Min 2005).
    protected: bool (N,). event: bool (N,), or its change, -1 to 1.
    """
    if not protected.any() or protected.all():
        return None
    value, low, high = independent_difference(*(_mean(event[group]) for group in (protected, ~protected)))
    return {"value": value, "low": low, "high": high}


def _mean(event: np.ndarray) -> Interval:
    if event.dtype == bool:
        low, high = wilson(float(event.sum()), float(len(event)))
        return float(event.mean()), float(low), float(high)
    value, low, high = Replicated.of(event[None]).difference()
    return float(value), float(low), float(high)
