"""Positions and texts in charts."""

from __future__ import annotations

from labelmint.reporting.axes import Axis
from labelmint.reporting.charts import Point, Series, line_chart


def test_points_are_where_their_numbers_are():
    """By hand: x from 0 to 10 over 40 to 350, y from 0 to 1 over 204 to 22."""
    series = Series("line", [Point(0, 0), Point(5, 0.5, 0.25, 1), Point(10, 1)])
    drawn = line_chart("t", Axis("x", minimum=0, maximum=10), Axis("y", minimum=0, maximum=1), [series])
    assert 'points="40.0,204.0 195.0,113.0 350.0,22.0"' in drawn
    assert "M195.0,158.5V22.0" in drawn
    assert "0.5 (0.25 to 1) at 5" in drawn


def test_names_are_escaped():
    drawn = line_chart("<b>", Axis("<i>"), Axis("y"), [Series("<script>", [Point(0, 0), Point(1, 1)])])
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert "<script>" not in drawn


def test_without_a_finite_point_there_is_no_chart():
    assert line_chart("t", Axis("x"), Axis("y"), [Series("line", [Point(0, float("nan"))])]) == ""
