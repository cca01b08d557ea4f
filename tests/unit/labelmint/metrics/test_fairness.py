"""Fairness gaps at known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from labelmint.metrics import fairness
from labelmint.metrics.intervals import wilson


def groups(first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Protected attribute and outcome, bool, from counts of outcomes (0, 1) without and with it."""
    protected = np.repeat([False, True], [sum(first), sum(second)])
    outcome = np.concatenate([np.repeat([False, True], first), np.repeat([False, True], second)])
    return protected, outcome


def test_demographic_parity_by_hand():
    found = fairness.gap(*groups([60, 40], [90, 10]))
    assert found is not None
    assert found["value"] == pytest.approx(0.1 - 0.4)
    # Wilson: .4 in [.3094, .4980], .1 in [.0552, .1744]; square roots of .0448^2 + .0980^2, .0744^2 + .0906^2
    assert found["low"] == pytest.approx(-0.3 - 0.1078, abs=2e-4)
    assert found["high"] == pytest.approx(-0.3 + 0.1172, abs=2e-4)


def test_gaps_of_a_classifier_by_hand():
    protected = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    outcome = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    predictions = np.array([1, 1, 0, 1, 1, 0, 0, 0])
    found = fairness.classifier_gaps(protected, outcome, predictions)
    assert found["demographic_parity"]["value"] == pytest.approx(1 / 4 - 3 / 4)
    assert found["equality_of_opportunity"]["value"] == pytest.approx(1 / 2 - 1)
    assert found["false_positive_rate"]["value"] == pytest.approx(0 - 1 / 2)
    assert found["error_rates"] == [1 / 4, 1 / 4]


def test_no_gap_is_within_the_interval():
    found = fairness.gap(*groups([500, 500], [500, 500]))
    assert found is not None
    assert found["value"] == 0
    assert found["low"] < 0 < found["high"]
    assert found["high"] == pytest.approx(0.0438, abs=1e-4)


def test_equal_classifiers_have_no_change():
    protected, outcome, before = np.random.default_rng(0).integers(0, 2, (3, 400))
    found = fairness.changes(protected, outcome, before, before)
    for gap in found.values():
        assert gap is not None
        assert gap["value"] == 0
        assert -0.05 < gap["low"] < 0 < gap["high"] < 0.05


def test_a_change_is_paired():
    """Each classifier's gap is uncertain; their difference is not."""
    protected, outcome, before = np.random.default_rng(0).integers(0, 2, (3, 400))
    after = np.where(protected == 1, 1, before)
    change = fairness.changes(protected, outcome, before, after)["equality_of_opportunity"]
    first, second = (
        fairness.classifier_gaps(protected, outcome, answers)["equality_of_opportunity"]["value"]
        for answers in (before, after)
    )
    assert change is not None
    assert change["value"] == pytest.approx(second - first)
    assert 0 < change["low"] < change["value"] < change["high"]


def test_few_images_without_a_difference_are_not_certain():
    """6 of 6 against 3 of 3: Wilson's lower ends are .6097 and .4385."""
    found = fairness.gap(*groups([0, 6], [0, 3]))
    assert found == pytest.approx({"value": 0, "low": -(1 - 0.4385), "high": 1 - 0.6097}, abs=1e-4)


@pytest.mark.parametrize("sizes", [(5, 5), (5, 20), (10, 100), (20, 20), (50, 50), (100, 1000)])
def test_intervals_cover_the_gap_19_times_in_20_on_average_over_rates(sizes):
    """Exact, over all outcomes of both groups; single rates near 0 or 1 may fall to .86 (Newcombe 1998)."""
    counts = [np.arange(size + 1) for size in sizes]
    (first, *of_first), (second, *of_second) = (
        (count / size, *wilson(count, np.asarray(float(size)))) for count, size in zip(counts, sizes)
    )
    gaps = first[:, None] - second
    low = gaps - np.hypot((first - of_first[0])[:, None], of_second[1] - second)
    high = gaps + np.hypot((of_first[1] - first)[:, None], second - of_second[0])
    shown = fairness.gap(*groups([sizes[1] - 2, 2], [1, sizes[0] - 1]))
    assert shown is not None
    assert (shown["low"], shown["high"]) == pytest.approx((low[-2, 2], high[-2, 2]))
    coverage = []
    for rates in itertools.product(np.linspace(0.05, 0.95, 10), repeat=2):
        chances = np.outer(*(binom.pmf(count, size, rate) for count, size, rate in zip(counts, sizes, rates)))
        gap = rates[0] - rates[1]
        coverage.append(chances[(low <= gap) & (gap <= high)].sum())
    assert 0.94 <= np.mean(coverage) <= 0.97


def test_an_empty_group_has_no_gap():
    assert fairness.gap(np.zeros(5, bool), np.ones(5, bool)) is None
    assert fairness.changes(np.ones(4), np.ones(4), np.ones(4), np.ones(4))["demographic_parity"] is None
