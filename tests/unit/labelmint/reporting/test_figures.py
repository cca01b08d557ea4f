"""Charts of results."""

from __future__ import annotations

from labelmint.reporting import figures
from tests.unit.labelmint.reporting.rows import row


def test_the_accuracy_chart_shows_every_number_and_is_reproducible():
    rows = [row(source, 0.9, percent) for source in ("real", "synthetic", "mixed") for percent in (40, 100)]
    chart = figures.accuracy(rows)
    assert chart == figures.accuracy(rows)
    assert chart.svg.count('class="pt"') == 6
    assert "90.00 % (89.00 to 91.00) with 40 % of the real data" in chart.svg


def test_lines_of_two_settings_have_names_and_colours_of_their_own():
    rows = [
        row(source, 0.9, percent, settings=settings)
        for settings in ("aa", "bb")
        for source in ("real", "synthetic")
        for percent in (40, 100)
    ]
    lines = figures.accuracy_lines(rows, by="settings")
    assert [(line.name, line.colour) for line in lines] == [
        ("real images only, settings aa", 0),
        ("synthetic images only, settings aa", 1),
        ("real images only, settings bb", 3),
        ("synthetic images only, settings bb", 4),
    ]
    at_40 = [line.points[0].x for line in lines]
    assert at_40 == sorted(set(at_40)), "bars stand side by side"
    assert sum(at_40) == 4 * 40


def test_a_sweep_is_drawn_against_the_number_of_images():
    one_size = [row("real", 0.98), row("synthetic", 0.95, n_synthetic=1000)]
    assert not figures.sweep(one_size)
    drawn = figures.sweep([*one_size, row("synthetic_10", 0.8, n_synthetic=100)]).svg
    assert "number of synthetic training images" in drawn
    assert "with 100 synthetic images" in drawn
    assert "with 1,000 synthetic images" in drawn


def test_controls_are_drawn_for_arms_that_have_them():
    assert figures.controls([row("real", 0.9), row("mixed", 0.9)]) == []
    ((title, drawn),) = figures.controls([row("real", 0.9), row("real_shuffled", 0.1)])
    assert title == "dcgan, 40 %"
    assert "10.00 % (9.00 to 11.00)" in drawn


def test_precision_is_drawn_against_recall():
    chart = figures.plane(
        [row("real", 0.9, precision=0.9, recall=0.8), row("synthetic", 0.9, precision=0.5, recall=0.25)]
    )
    assert "precision 0.500, recall 0.250 at 40 %, seed 0" in chart.svg
    assert "synthetic images from dcgan" in chart.legend
    assert not figures.plane([row("real", 0.9)])
