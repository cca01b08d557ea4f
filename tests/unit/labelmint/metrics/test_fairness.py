"""Fairness gaps at known answers."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import fairness


def groups(first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Protected attribute and outcome, bool, from counts of outcomes (0, 1) without and with it."""
    protected = np.repeat([False, True], [sum(first), sum(second)])
    outcome = np.concatenate([np.repeat([False, True], first), np.repeat([False, True], second)])
    return protected, outcome


def test_demographic_parity_by_hand():
    found = fairness.gap(*groups([60, 40], [90, 10]), 500)
    assert found is not None
    assert found["value"] == pytest.approx(0.1 - 0.4)
    # The normal interval: 1.96 sqrt(.4 .6 / 100 + .1 .9 / 100) = 0.1126
    assert found["low"] == pytest.approx(-0.4126, abs=0.02)
    assert found["high"] == pytest.approx(-0.1874, abs=0.02)


def test_gaps_of_a_classifier_by_hand():
    protected = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    outcome = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    predictions = np.array([1, 1, 0, 1, 1, 0, 0, 0])
    found = fairness.classifier_gaps(protected, outcome, predictions, 100)
    assert found["demographic_parity"]["value"] == pytest.approx(1 / 4 - 3 / 4)
    assert found["equality_of_opportunity"]["value"] == pytest.approx(1 / 2 - 1)
    assert found["false_positive_rate"]["value"] == pytest.approx(0 - 1 / 2)
    assert found["error_rates"] == [1 / 4, 1 / 4]


def test_no_gap_is_within_the_interval():
    found = fairness.gap(*groups([500, 500], [500, 500]), 500)
    assert found is not None
    assert found["value"] == 0
    assert found["low"] < 0 < found["high"]
    assert found["high"] == pytest.approx(0.0438, abs=0.008)


def test_equal_classifiers_have_no_change():
    protected, outcome, before = np.random.default_rng(0).integers(0, 2, (3, 400))
    found = fairness.changes(protected, outcome, before, before, 200)
    assert all(gap == {"value": 0, "low": 0, "high": 0} for gap in found.values())


def test_a_change_is_paired():
    """Each classifier's gap is uncertain; their difference is not."""
    protected, outcome, before = np.random.default_rng(0).integers(0, 2, (3, 400))
    after = np.where(protected == 1, 1, before)
    change = fairness.changes(protected, outcome, before, after, 200)["equality_of_opportunity"]
    first, second = (
        fairness.classifier_gaps(protected, outcome, answers, 200)["equality_of_opportunity"]["value"]
        for answers in (before, after)
    )
    assert change is not None
    assert change["value"] == pytest.approx(second - first)
    assert 0 < change["low"] < change["value"] < change["high"]


def test_an_empty_group_has_no_gap():
    assert fairness.gap(np.zeros(5, bool), np.ones(5, bool), 10) is None
    assert fairness.changes(np.ones(4), np.ones(4), np.ones(4), np.ones(4), 10)["demographic_parity"] is None
