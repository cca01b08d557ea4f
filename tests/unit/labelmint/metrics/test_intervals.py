"""Confidence intervals at published values, by hand, and in their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics.intervals import clustered_wilson, paired_difference, wilson

COVERAGE_RUNS = 2000


class TestWilson:
    @pytest.mark.parametrize(
        ("correct", "total", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_values_tabled_by_newcombe_1998(self, correct, total, low, high):
        assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


class TestClusteredWilson:
    def test_equal_predictions_for_an_image_count_once(self):
        correct = np.random.default_rng(0).random((400, 1)) < 0.9
        repeated = clustered_wilson(np.repeat(correct, 5, axis=1))
        assert repeated == pytest.approx(wilson(correct.sum(), 400), abs=0.0005)

    def test_independent_predictions_count_each(self):
        correct = np.random.default_rng(0).random((4000, 4)) < 0.8
        low, high = clustered_wilson(correct)
        expected = wilson(correct.sum(), correct.size)
        assert high - low == pytest.approx(expected[1] - expected[0], rel=0.05)

    def test_no_error_is_no_certainty(self):
        assert clustered_wilson(np.ones((50, 3), bool)) == pytest.approx(wilson(50, 50))

    def test_covers_the_true_value_19_times_in_20(self):
        rng, covered = np.random.default_rng(1), 0
        for _ in range(COVERAGE_RUNS):
            accuracy = rng.choice([0.6, 0.99], 120)  # some images are hard, in all their attributes
            low, high = clustered_wilson(rng.random((120, 6)) < accuracy[:, None])
            covered += low <= 0.795 <= high
        assert covered / COVERAGE_RUNS == pytest.approx(0.95, abs=0.015)


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
        rng, covered = np.random.default_rng(0), 0
        for _ in range(COVERAGE_RUNS):
            common = rng.random(200) < 0.8
            first, second = (np.where(rng.random(200) < 0.1, ~common, common) for _ in range(2))
            _, low, high = paired_difference(first, second)
            covered += low <= 0 <= high
        assert covered / COVERAGE_RUNS == pytest.approx(0.95, abs=0.015)
