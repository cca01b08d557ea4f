"""Diversity of classes whose spread is known."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import diversity
from tests.unit.labelmint.metrics.points import gaussian

LABELS = np.repeat([0, 1], 200)


def test_another_draw_is_as_diverse():
    ratios, _ = diversity.per_class((gaussian(400, 4, 0), LABELS), (gaussian(400, 4, 1), LABELS), 2, 5000)
    assert ratios == pytest.approx([1, 1], abs=0.12)


def test_a_class_of_narrow_modes_shows():
    narrow = gaussian(400, 4, 0)
    narrow[:200] = np.repeat(narrow[:10], 20, 0) + 0.01 * gaussian(200, 4, 2)
    (first, second), _ = diversity.per_class((narrow, LABELS), (gaussian(400, 4, 1), LABELS), 2, 5000)
    assert first is not None
    assert first < 0.05
    assert second == pytest.approx(1, abs=0.12)


def test_too_few_images_have_no_value():
    synthetic, real = ((gaussian(9, 4, seed), np.zeros(9, int)) for seed in (0, 1))
    assert diversity.per_class(synthetic, real, 1, 100) == ([None], [9])
