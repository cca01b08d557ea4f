"""Conclusions in sentences: direction, size and evidence."""

from __future__ import annotations

from labelmint.reporting.verdict import headline, verdict
from tests.unit.labelmint.reporting.rows import row


def test_a_conclusion_states_direction_size_and_evidence():
    rows = [
        row("real", 0.98),
        row("synthetic", 0.955, difference=-0.025),
        row("mixed", 0.985, difference=0.005),
    ]
    conclusion, coverage = verdict(rows, 359)
    assert (
        "reaches 95.5 % accuracy on real test images; one trained on the same real images reaches 98.0 %"
        in conclusion
    )
    assert "Replacing the real images costs 2.5 ± 1.0 points." in conclusion
    assert "Adding the synthetic images gains 0.5 ± 1.0 points (no evidence of a gain)." in conclusion
    assert "not the variation between training runs" in coverage


def test_no_difference_is_called_so():
    conclusion = verdict(
        [row("real", 0.95), row("synthetic", 0.95), row("mixed", 0.94, difference=-0.004)], 359
    )[0]
    assert "changes nothing (0.0 ± 1.0 points)" in conclusion
    assert "costs 0.4 ± 1.0 points (no evidence of a loss)." in conclusion


def rows_of_two_fractions():
    return [
        row(source, 0.9, percent, difference=difference)
        for percent, synthetic, mixed in ((40, -0.05, 0.002), (100, -0.005, 0.02))
        for source, difference in (("real", 0.0), ("synthetic", synthetic), ("mixed", mixed))
    ]


def test_the_headline_of_several_comparisons_picks_no_best_one():
    assert headline(rows_of_two_fractions()) == (
        "Replacing the real images with synthetic ones changes accuracy by −5.0 to −0.5 points "
        "(evidence of a loss in 1 of 2 comparisons); "
        "adding synthetic images to the real ones changes accuracy by +0.2 to +2.0 points "
        "(evidence of a gain in 1 of 2 comparisons)."
    )


def test_the_headline_of_one_comparison_names_it():
    assert headline([each for each in rows_of_two_fractions() if each["percent"] == 40]) == (
        "Replacing the real images (40 % of the training data) with synthetic images from dcgan "
        "costs 5.0 ± 1.0 points of accuracy; adding them to the real images "
        "gains 0.2 ± 1.0 points of accuracy (no evidence of a gain)."
    )


def test_missing_comparisons_are_explained():
    unlabelled = [row("real", 0.9), row("synthetic", 0.0) | {"accuracy": None}]
    assert headline(unlabelled).startswith("The synthetic images have no labels")
    assert (
        "only their similarity to real images was measured (Fréchet distance 1.50)"
        in verdict(unlabelled, 359)[0]
    )
    assert headline([row("real", 0.9)]).startswith("No classifier was trained on synthetic images only")
    assert verdict([row("real", 0.9)], 359)[0].endswith("none was trained on synthetic images from dcgan.")
    assert headline([]).startswith("Nothing to compare")
