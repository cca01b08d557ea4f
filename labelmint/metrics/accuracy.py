"""Accuracy, recalls and confusion matrix of a classifier of classes or attributes, on the test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labelmint.metrics import per_image
from labelmint.metrics.inputs import ClassifierResult, Setup
from labelmint.metrics.intervals import wilson
from labelmint.metrics.registry import Metric, Values, evaluates_classifier
from labelmint.metrics.replicated import Replicated


def _accuracy_protocol(setup: Setup) -> str:
    if not setup.multi_hot:
        return f"{setup.n_test} real test images; interval: Wilson, 95 %"
    return (
        f"mean over {len(setup.dataset['classes'])} attributes of the fraction of {setup.n_test} real test "
        "images that are predicted correctly; interval: Wilson, 95 %, with the effective number of "
        "predictions, since those for one image are correlated (Korn and Graubard 1998)"
    )


def _for_attributes(sentence: str) -> Callable[[Setup], str]:
    """A sentence that is shown for attributes only; recalls of classes need none."""
    return lambda setup: sentence if setup.multi_hot else ""


@evaluates_classifier(
    Metric("accuracy", "higher", _accuracy_protocol, columns=("accuracy", "accuracy_low", "accuracy_high")),
    Metric(
        "macro_recall",
        "higher",
        _for_attributes(
            "mean over attributes of the balanced accuracy, which is the mean of the recalls of images with "
            "and without the attribute; worst_class_recall: the lowest of any attribute"
        ),
    ),
    Metric("worst_class_recall", "higher"),
    Metric("exact_match", "higher", _for_attributes("fraction of test images with every attribute correct")),
    Metric(
        "majority", "none", _for_attributes("accuracy of always predicting the more common value"), columns=()
    ),
)
def accuracy(result: ClassifierResult) -> Values:
    """Summary of the predictions; also `correct`, for each test image how many are, for means over seeds."""
    values = summary(result.labels, result.predictions, result.names)
    values["correct"] = per_image.packed(result.correct(), result.labels_per_image)
    measured = ("accuracy", "macro_recall", "worst_class_recall", "exact_match", "majority")
    return values | {"measured": {name: result.how() for name in measured if name in values}}


def summary(labels: np.ndarray, predictions: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Accuracy and recalls of classes, int64 (N,), or of attributes, (N, A) of 0 and 1. names: of either."""
    if labels.ndim > 1:
        return attribute_summary(labels, predictions, names)
    return class_summary(labels, predictions, len(names))


def class_summary(labels: np.ndarray, predictions: np.ndarray, classes: int) -> dict[str, Any]:
    """accuracy, accuracy_low, accuracy_high (95 %), macro_recall, worst_class_recall, recalls, confusion."""
    confusion = confusion_matrix(labels, predictions, classes)
    correct, total = int(np.trace(confusion)), len(labels)
    recalls = np.diag(confusion) / confusion.sum(1)
    low, high = wilson(float(correct), float(total))
    return {
        "accuracy": correct / total,
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "macro_recall": float(recalls.mean()),
        "worst_class_recall": float(recalls.min()),
        "recalls": recalls.tolist(),
        "confusion": confusion.tolist(),
    }


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): row = true class, column = predicted class."""
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def attribute_summary(labels: np.ndarray, predictions: np.ndarray, names: list[str]) -> dict[str, Any]:
    """What class_summary returns, with balanced accuracies as recalls; and exact_match, majority, attributes.

    labels, predictions: (N, A) of 0 and 1.
    accuracy: mean over attributes of the fraction of images predicted correctly. macro_recall: mean over
    attributes of the balanced accuracy; worst_class_recall: the lowest. exact_match: fraction of images with
    every attribute correct. majority: accuracy of always predicting the more common value.
    """
    labels, predictions = labels > 0.5, predictions > 0.5
    correct = labels == predictions
    _, low, high = Replicated.of(correct.mean(1)[None]).proportion(len(names))
    table = [_attribute(name, *columns) for name, *columns in zip(names, labels.T, predictions.T)]
    balanced = [row["balanced_accuracy"] for row in table]
    return {
        "accuracy": float(correct.mean()),
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "macro_recall": float(np.mean(balanced)),
        "worst_class_recall": min(balanced),
        "exact_match": float(correct.all(1).mean()),
        "majority": float(np.mean([row["majority"] for row in table])),
        "recalls": balanced,
        "attributes": table,
    }


def _attribute(name: str, labels: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    """Accuracy and recalls of one attribute. A value that no image has has no recall, and is not averaged.

    confusion: rows: absent, present; columns: predicted absent, predicted present.
    """
    confusion = np.array(
        [[(row & column).sum() for column in (~predictions, predictions)] for row in (~labels, labels)]
    )
    totals = confusion.sum(1)
    recalls = [float(confusion[value, value] / totals[value]) if totals[value] else None for value in (0, 1)]
    known = [recall for recall in recalls if recall is not None]
    return {
        "name": name,
        "accuracy": float(np.trace(confusion) / totals.sum()),
        "majority": float(totals.max() / totals.sum()),
        "balanced_accuracy": float(np.mean(known)),
        "recall_absent": recalls[0],
        "recall_present": recalls[1],
        "confusion": confusion.tolist(),
    }
