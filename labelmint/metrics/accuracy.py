"""Accuracy with its interval, recall per class, the confusion matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_Z95 = 1.959963984540054


def wilson(correct: float, total: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927): it stays within [0, 1] and is honest near 1, unlike +-1.96 s.

    Whole numbers, but where they are effective ones.
    """
    share, z2 = correct / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): row = true class, column = predicted class."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def summary(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """accuracy, accuracy_low, accuracy_high (95 %), macro_recall, worst_class_recall, recalls, confusion."""
    confusion = confusion_matrix(labels, predicted, classes)
    correct, total = int(np.trace(confusion)), len(labels)
    recalls = np.diag(confusion) / confusion.sum(1)
    low, high = wilson(correct, total)
    return {
        "accuracy": correct / total,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_recall": float(recalls.mean()),
        "worst_class_recall": float(recalls.min()),
        "recalls": recalls.tolist(),
        "confusion": confusion.tolist(),
    }
