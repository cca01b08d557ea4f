"""Confusion matrices."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.reporting.confusion import confusion


def test_many_classes_are_a_picture_with_the_most_frequent_mistakes():
    counts = 10 * np.eye(30, dtype=int)
    counts[3, 7] = 5
    found = confusion("real", counts.tolist(), [f"c{index}" for index in range(30)], 20_000)
    assert found.mistakes == [("c3", "c7", 5)]
    assert found.cells == []
    assert found.picture is not None
    assert found.accuracy == pytest.approx(300 / 305)


def test_few_classes_are_a_table():
    found = confusion("real", [[3, 1], [0, 4]], ["a", "b"], 20_000)
    assert found.picture is None
    assert found.cells[0][1].fraction == 0.25
