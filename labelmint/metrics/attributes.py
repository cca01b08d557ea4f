"""How well several attributes are told, each on its own and all together."""

from __future__ import annotations

from typing import Any

import numpy as np

from labelmint.metrics.accuracy import wilson


def summary(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> dict[str, Any]:
    """labels, predicted: (N, A) of 0 and 1. Returns: what accuracy.summary returns, recalls being balanced accuracies; exact_match; attributes.

    accuracy: mean over attributes of the share of images told right. macro_recall: mean over attributes of the balanced accuracy,
    worst_class_recall: the least. exact_match: share of images of which every attribute is right.
    """
    labels, predicted = labels > 0.5, predicted > 0.5
    right = labels == predicted
    low, high = clustered_wilson(right)
    table = [_attribute(name, *columns) for name, *columns in zip(names, labels.T, predicted.T)]
    balanced = [row["balanced_accuracy"] for row in table]
    return {
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_recall": float(np.mean(balanced)),
        "worst_class_recall": min(balanced),
        "exact_match": float(right.all(1).mean()),
        "majority": float(np.mean([row["majority"] for row in table])),
        "recalls": balanced,
        "attributes": table,
    }


def clustered_wilson(right: np.ndarray) -> tuple[float, float]:
    """95 % interval of right.mean(), the rows being what was drawn: Wilson's, of the effective number of answers.

    right: bool (N, A). Answers about one image hang together, so that N x A of them tell less than as many images would.
    Their effective number is that of independent ones with the variance seen between images (Korn and Graubard 1998), at
    least N and at most N x A; where no image differs from another it is N.
    """
    images, answers = right.shape
    share, variance = right.mean(), right.mean(1).var(ddof=1) if images > 1 else 0.0
    effective = images * share * (1 - share) / variance if variance else images
    effective = min(max(effective, images), images * answers)
    return wilson(share * effective, effective)


def _attribute(name: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """confusion: rows absent and present, columns told absent and told present. A value that no image has counts in no recall."""
    confusion = np.array([[(~labels & ~predicted).sum(), (~labels & predicted).sum()], [(labels & ~predicted).sum(), (labels & predicted).sum()]])  # fmt: skip
    totals = confusion.sum(1)
    recalls = [float(confusion[value, value] / totals[value]) if totals[value] else None for value in (0, 1)]
    seen = [recall for recall in recalls if recall is not None]
    return {
        "name": name,
        "accuracy": float(np.trace(confusion) / totals.sum()),
        "majority": float(totals.max() / totals.sum()),
        "balanced_accuracy": float(np.mean(seen)),
        "recall_absent": recalls[0],
        "recall_present": recalls[1],
        "confusion": confusion.tolist(),
    }
