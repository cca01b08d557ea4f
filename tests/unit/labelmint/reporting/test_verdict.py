"""Conclusions in sentences: direction, size, and what is evidence."""

from __future__ import annotations

import re

import numpy as np
import pytest

from labelmint.metrics import per_image
from labelmint.reporting.verdict import headline, verdict
from tests.unit.labelmint.reporting.rows import row

FINDING = re.compile("evidence|gain|loss|help|harm|cost", re.IGNORECASE)


def test_one_seed_states_differences_of_its_runs():
    rows = [
        row("real", 0.98),
        row("synthetic", 0.955, difference=-0.025),
        row("mixed", 0.985, difference=0.005),
    ]
    conclusion, coverage = verdict(rows, 359)
    assert (
        "reaches 95.5 % accuracy on real test images; one trained on the same real images reaches 98.0 %. "
        "Replacing the real images changed accuracy by −2.5 ± 1.0 points. "
        "Adding the synthetic images changed accuracy by +0.5 ± 1.0 points."
    ) in conclusion
    assert "the choice of the 359 test images, but not the variation between training runs" in coverage
    assert not FINDING.search(conclusion + coverage)


def test_filtered_images_are_compared_too():
    rows = [
        row("real", 0.98),
        row("synthetic", 0.955, difference=-0.025),
        row("synthetic_filtered", 0.96, difference=-0.02),
        row("mixed_filtered", 0.99, difference=0.01),
    ]
    assert (
        "Replacing the real images changed accuracy by −2.5 ± 1.0 points. "
        "Replacing the real images with synthetic ones that their classifier recognizes changed accuracy by "
        "−2.0 ± 1.0 points. Adding synthetic images that the real images' classifier recognizes changed "
        "accuracy by +1.0 ± 1.0 points."
    ) in verdict(rows, 359)[0]


def rows_of_two_fractions():
    return [
        row(source, 0.9, percent, difference=difference)
        for percent, synthetic, mixed in ((40, -0.05, 0.002), (100, -0.005, 0.02))
        for source, difference in (("real", 0.0), ("synthetic", synthetic), ("mixed", mixed))
    ]


def test_the_headline_of_several_comparisons_picks_no_best_one():
    assert headline(rows_of_two_fractions()) == (
        "In this run of one seed, replacing the real images with synthetic ones changed accuracy by "
        "−5.0 to −0.5 points in 2 comparisons; adding synthetic images to the real ones changed accuracy by "
        "+0.2 to +2.0 points in 2 comparisons."
    )


def test_the_headline_of_one_comparison_names_it():
    assert headline([each for each in rows_of_two_fractions() if each["percent"] == 40]) == (
        "In this run of one seed, replacing the real images (40 % of the training data) with synthetic "
        "images from dcgan changed accuracy by −5.0 ± 1.0 points; adding them to the real images changed "
        "accuracy by +0.2 ± 1.0 points (±: 95 %, for the choice of the test images only)."
    )


def replicates(wrong: dict[tuple[int, str], list[int]]):
    """Rows of three seeds with 1,000 test images, of which the first `wrong` ones are wrong."""
    rows = []
    for (percent, source), counts in wrong.items():
        for seed, count in enumerate(counts):
            correct = np.repeat([0.0, 1.0], [count, 1000 - count])
            found = row(source, float(correct.mean()), percent, seed=seed)
            rows.append(found | {"correct": per_image.packed(correct, 1)})
    return rows


REAL = [20, 22, 24]


def test_several_seeds_are_evidence_of_what_all_of_them_show():
    rows = replicates({(40, "real"): REAL, (40, "synthetic"): [119, 122, 125], (40, "mixed"): [18, 22, 26]})
    assert headline(rows).startswith(
        "Replacing the real images (40 % of the training data) with synthetic images from dcgan changes "
        "accuracy by −10.0 ± "
    )
    assert "points (evidence of a loss); adding them to the real images changes accuracy by +0.0 ± " in (
        headline(rows)
    )
    assert headline(rows).endswith(
        "(no evidence of a difference) (p ≤ 0.05, adjusted for 2 comparisons (Holm), 3 seeds)."
    )
    conclusion, coverage = verdict(rows, 1000)
    assert "Replacing the real images changes accuracy by −10.0" in conclusion
    assert coverage.startswith("3 seeds, each with its own subset")
    assert coverage.endswith("Evidence: p ≤ 0.05, adjusted for 2 comparisons (Holm).")


@pytest.mark.parametrize(
    ("fractions", "found"), [([40], "evidence of a loss"), ([40, 60, 80, 100], "no evidence")]
)
def test_a_difference_is_adjusted_for_the_number_of_comparisons(fractions, found):
    """Its own p is about .02: evidence alone, but not as one of eight."""
    rows = replicates(
        {(percent, source): REAL for percent in fractions for source in ("real", "synthetic", "mixed")}
        | {(40, "synthetic"): [27, 32, 31]}
    )
    if fractions == [40]:
        rows = [each for each in rows if each["source"] != "mixed"]
    assert found in headline(rows)


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
