"""The probe of a representation: how many labels it can use, and whether its fits converge."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics.arm import representation
from labelmint.metrics.settings import Representation
from tests.unit.labelmint.metrics.points import overlapping_classes


def test_a_class_needs_images_besides_its_labels():
    labels = np.repeat([0, 1, 2], [400, 500, 401])
    counts, reasons = representation.usable_counts(labels, [100, 399, 400, 1000])
    assert counts == [100, 399]
    expected = ["400 labels per class left out", "1000 labels per class left out"]
    assert [reason.split(":")[0] for reason in reasons] == expected


@pytest.mark.parametrize(("iterations", "unconverged"), [(3, 6), (1000, 0)])
def test_fits_that_stop_early_are_counted(iterations, unconverged):
    training, test = overlapping_classes(90, 0), overlapping_classes(60, 1)
    params = Representation(draws=2, c=[1.0, 10.0], iterations=iterations)
    found = representation.probe(training, test, 3, 10, params=params, seed=0)
    assert (found["fits"], found["unconverged"]) == (6, unconverged)
    assert (found["n_labels"], found["n_validation"], found["draws"]) == (30, 60, 2)
    assert set(found["C"]) <= {1.0, 10.0}
    assert found["low"] <= found["accuracy"] <= found["high"]
