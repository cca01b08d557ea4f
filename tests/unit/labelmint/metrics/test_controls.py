"""Controls of a classifier's accuracy, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelmint.metrics import registry
from labelmint.metrics.inputs import ClassifierResult

RESULT = ClassifierResult(
    labels=np.array([0, 1, 0, 1]),
    predictions=np.array([0, 1, 0, 0]),
    names=["cat", "dog"],
    reference=np.array([0, 1, 0, 1]),
    simple={
        "linear": (np.array([0, 1, 1, 0]), "sha256 ab"),
        "nearest_neighbour": (np.array([0, 0, 0, 0]), "none: pixels"),
    },
    split="test",
    size=8,
    facts={
        "source": "synthetic",
        "holdout_accuracy": 0.9,
        "n_holdout": 12,
        "view": None,
        "weights_sha256": "cd",
    },
    precision="tf32",
)


def test_all_metrics_of_a_classifier():
    found = registry.measure_classifier(RESULT)
    assert (found["accuracy"], found["difference"], found["holdout_accuracy"]) == (0.75, -0.25, 0.9)
    assert found["holdout_gap"] == pytest.approx(0.15)
    assert (found["accuracy_linear"], found["accuracy_nearest_neighbour"]) == (0.5, 0.5)
    assert found["difference_low"] < -0.25 < found["difference_high"]


def test_each_number_has_its_protocol():
    measured = registry.measure_classifier(RESULT)["measured"]
    whole = {
        "split": "test",
        "n": 4,
        "resize": "none: 8 x 8 pixels as prepared",
        "view": None,
        "network": "sha256 cd",
        "precision": "tf32",
    }
    assert measured["accuracy"] == measured["difference"] == whole
    assert measured["holdout_accuracy"] == whole | {"split": "held-out images of the source", "n": 12}
    assert measured["holdout_gap"] == measured["holdout_accuracy"] | {"reference": "test", "n_reference": 4}
    assert measured["accuracy_linear"] == whole | {"network": "sha256 ab"}
    assert measured["accuracy_nearest_neighbour"] == whole | {"network": "none: pixels"}


def test_the_real_classifier_does_not_differ_from_itself():
    found = registry.measure_classifier(replace(RESULT, facts={**RESULT.facts, "source": "real"}))
    assert (found["difference"], found["difference_low"], found["difference_high"]) == (0, 0, 0)


def test_attributes_count_by_fraction():
    labels = np.array([[1, 0], [1, 1]])
    predictions = np.array([[1, 0], [0, 1]])
    found = registry.measure_classifier(
        replace(
            RESULT,
            labels=labels,
            predictions=predictions,
            reference=labels,
            simple={"linear": (predictions, "")},
        )
    )
    assert (found["accuracy"], found["difference"], found["accuracy_linear"]) == (0.75, -0.25, 0.75)
