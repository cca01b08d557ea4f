"""Intervals over replicates that share their test images: by hand, and in their coverage."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from labelmint.metrics.intervals import wilson
from labelmint.metrics.replicated import Replicated, paired_difference
from tests.unit.labelmint.metrics import simulated

COVERAGE_RUNS = 2000
importlib.import_module("scipy.optimize")  # takes a second, which counts for no test


class TestByHand:
    def test_half_width_of_two_components(self):
        """Variance of the runs' means, mean covariance of two runs, and the weighted quantile."""
        rng = np.random.default_rng(0)
        images, of_runs = rng.normal(0, 0.3, 4000), rng.normal(0, 0.02, (4, 1))
        scores = np.clip(0.1 + of_runs + images + rng.normal(0, 0.1, (4, 4000)), -1, 1)
        value, low, high = Replicated.of(scores).difference()
        shared = np.mean([np.cov(scores)[i, j] for i in range(4) for j in range(4) if i != j]) / 4000
        runs = scores.mean(1).var(ddof=1) / 4
        weighted = (1.959964 * shared + 3.182446 * runs) / (shared + runs)
        assert value == pytest.approx(scores.mean())
        assert (high - low) / 2 == pytest.approx(weighted * np.sqrt(shared + runs), rel=0.005)

    def test_equal_replicates_have_the_interval_of_one(self):
        correct = (np.random.default_rng(0).random((1, 400)) < 0.9).astype(float)
        one, three = (Replicated.of(np.repeat(correct, count, 0)).proportion() for count in (1, 3))
        assert three == pytest.approx(one, abs=1e-4)
        assert one == pytest.approx((correct.mean(), *wilson(float(correct.sum()), 400.0)), abs=1e-12)

    def test_perfect_replicates_are_not_certain_and_not_above_1(self):
        """359 of 359 right, once and twice: a symmetric interval would end at 1.005."""
        assert Replicated.of(np.ones((1, 359))).proportion() == pytest.approx((1, 0.98941, 1), abs=1e-5)
        twice = Replicated.of(np.ones((2, 359))).proportion()
        assert twice == pytest.approx((1, 1 - 0.7 * (1 - 0.98941), 1), abs=1e-5)

    def test_near_1_an_interval_over_seeds_is_longer_downwards(self):
        scores = np.ones((3, 400))
        scores[0, :4] = scores[1, 4:6] = scores[2, 6:9] = 0
        value, low, high = Replicated.of(scores).proportion()
        assert value - low > 1.3 * (high - value)
        assert low < 0.9925 < high < 1

    def test_the_interval_at_the_p_value_ends_at_0(self):
        rng = np.random.default_rng(0)
        change = Replicated.of(rng.choice([-1, 0, 1], (3, 500), p=[0.1, 0.75, 0.15]))
        p = change.p_value()
        assert 0.001 < p < 0.5
        assert change.difference(p)[1] == pytest.approx(0, abs=1e-9)
        assert Replicated.of(np.zeros((3, 500))).p_value() == 1


class TestAttributes:
    def test_equal_predictions_for_an_image_count_once(self):
        correct = np.random.default_rng(0).random((1, 400)) < 0.9
        _, *repeated = Replicated.of(correct.astype(float)).proportion(5)
        assert repeated == pytest.approx(wilson(float(correct.sum()), 400.0), abs=0.0005)

    def test_independent_predictions_count_each(self):
        correct = np.random.default_rng(0).random((4000, 4)) < 0.8
        _, low, high = Replicated.of(correct.mean(1)[None]).proportion(4)
        expected = wilson(float(correct.sum()), float(correct.size))
        assert high - low == pytest.approx(expected[1] - expected[0], rel=0.05)

    def test_covers_the_true_value_19_times_in_20(self):
        rng = np.random.default_rng(1)
        accuracy = rng.choice([0.6, 0.99], (COVERAGE_RUNS, 1, 120))  # some images are hard, in all attributes
        correct = rng.random((6, *accuracy.shape)) < accuracy
        _, low, high = Replicated.of(correct.mean(0)).proportion(6)
        assert np.mean((low <= 0.795) & (high >= 0.795)) == pytest.approx(0.95, abs=0.015)


class TestPairedDifference:
    def test_by_hand(self):
        """Agresti and Min 2005: of 100 pairs 10 are better and 4 worse; each cell gets half a pair."""
        correct, reference = np.ones(100), np.ones(100)
        reference[:10], correct[10:14] = 0, 0
        mean, low, high = paired_difference(correct, reference)
        centre = 6 / 102
        half = 1.959964 * np.sqrt((15 / 102 - centre**2) / 102)
        assert (mean, low, high) == pytest.approx((0.06, centre - half, centre + half), abs=1e-6)

    def test_classifiers_that_never_differ_are_not_certainly_equal(self):
        mean, low, high = paired_difference(np.ones(50), np.ones(50))
        assert mean == 0
        assert low < 0 < high

    def test_covers_the_true_value_19_times_in_20(self):
        rng, size = np.random.default_rng(0), (COVERAGE_RUNS, 1, 200)
        common = rng.random(size) < 0.8
        first, second = (np.where(rng.random(size) < 0.1, ~common, common).astype(float) for _ in range(2))
        _, low, high = Replicated.of(first - second).difference()
        assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("runs", "images", "accuracy", "deviation"),
    [
        (1, 2000, 0.8, 0.0),
        (2, 10_000, 0.8, 0.01),
        (3, 359, 0.95, 0.01),
        (3, 10_000, 0.98, 0.003),
        (5, 2000, 0.6, 0.003),
        (5, 10_000, 0.995, 0.001),
    ],
)
def test_covers_the_mean_over_runs_and_images_19_times_in_20(runs, images, accuracy, deviation):
    """The integration test has the whole grid."""
    drawn = simulated.accuracies(
        COVERAGE_RUNS, runs=runs, images=images, accuracy=accuracy, deviation=deviation
    )
    _, low, high = drawn.proportion()
    assert 0 <= low.min() <= high.max() <= 1
    assert 0.93 <= np.mean((low <= accuracy) & (accuracy <= high)) <= 0.975


def test_more_runs_narrow_the_interval_as_they_should():
    """2,000 images, deviation .3 points, 10 runs: private test noise and the run part shrink with them."""
    drawn = simulated.accuracies(500, runs=10, images=2000, accuracy=0.94, deviation=0.003)
    _, low, high = drawn.proportion()
    images = 0.94 * 0.06 * simulated.SHARED / 2000
    runs = (0.94 * 0.06 * (1 - simulated.SHARED) / 2000 + 0.003**2) / 10
    weighted = (-ndtri(0.025) * images - stdtrit(9, 0.025) * runs) / (images + runs)
    assert np.median(high - low) / 2 == pytest.approx(weighted * np.sqrt(images + runs), rel=0.03)
    assert np.mean((low <= 0.94) & (high >= 0.94)) >= 0.94


def test_of_eight_equal_comparisons_some_is_called_different_once_in_20_runs():
    """Holm's first step: some p value is at most .05 / 8. All comparisons share images and the real runs."""
    rng, draws, runs, images = np.random.default_rng(0), 400, 3, 200
    accuracy = rng.normal(0.9, 0.01, (draws, 9, runs, 1))
    hard = rng.random((draws, 1, 1, images)) < 0.3
    own = rng.random((draws, 9, runs, images))
    scores = (np.where(hard, rng.random((draws, 1, 1, images)), own) < accuracy).astype(float)
    _, low, high = Replicated.of(scores[:, 1:] - scores[:, :1]).difference(0.05 / 8)
    assert 0 < np.mean(((low > 0) | (high < 0)).any(1)) <= 0.05
