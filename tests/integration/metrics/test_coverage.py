"""Coverage of intervals over replicates, over the whole range of test sets, accuracies and variations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.unit.labelmint.metrics import simulated

DRAWS = 1000
IMAGES = (359, 2000, 10_000)
ACCURACIES = (0.6, 0.8, 0.95, 0.98, 0.995)
DEVIATIONS = (0.0, 0.001, 0.003, 0.01)


@pytest.mark.parametrize(("runs", "least"), [(1, 0.94), (2, 0.935), (3, 0.94), (5, 0.94), (10, 0.94)])
def test_covers_the_mean_over_runs_and_images(runs, least):
    """More than .98 is covered only where fewer than ten images are wrong, as Wilson's interval does too.

    Of one run, whose interval does not cover the variation between runs, there is none. Left out are
    variations that accuracies below 1 cannot have: more than half the distance to 1.
    """
    covered = {}
    for images, accuracy, deviation in itertools.product(IMAGES, ACCURACIES, DEVIATIONS):
        if accuracy + 2 * deviation > 1 or (runs == 1 and deviation):
            continue
        drawn = simulated.accuracies(DRAWS, runs=runs, images=images, accuracy=accuracy, deviation=deviation)
        _, low, high = drawn.proportion()
        assert 0 <= low.min() <= high.max() <= 1
        covered[images, accuracy, deviation] = np.mean((low <= accuracy) & (accuracy <= high))
    noise = 3 * np.sqrt(0.95 * 0.05 / DRAWS)
    assert 0.945 <= np.mean(list(covered.values())) <= 0.975
    assert min(covered.values()) >= least - noise, covered
    many = [value for (images, accuracy, _), value in covered.items() if images * (1 - accuracy) >= 10]
    assert max(many) <= 0.98 + noise, covered
