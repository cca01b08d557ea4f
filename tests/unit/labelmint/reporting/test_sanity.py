"""Reasons not to believe the numbers."""

from __future__ import annotations

from typing import Any

from labelmint.reporting import sanity, tables
from labelmint.reporting.verdict import headline
from tests.unit.labelmint.reporting.rows import row

# Of ten test images seven are of one class.
CONFUSION = [[7, 0], [1, 2]]


def doubts(*rows: dict[str, Any], **more: Any) -> list[sanity.Doubt]:
    facts: dict[str, Any] = {"first_look": False, "n_train": 1438, "unhealthy": {}, **more}
    return sanity.doubts(list(rows), **facts)


def test_good_numbers_raise_none():
    good = row("real", 0.95, accuracy_linear=0.9, accuracy_nearest_neighbour=0.96, confusion=CONFUSION)
    measured = {"precision": {"n": 575, "n_reference": 359}}
    assert doubts(good, row("synthetic", 0.1, measured=measured), unhealthy={"dcgan-40-0": []}) == []


def test_a_classifier_at_chance_allows_no_conclusion():
    """0.709 with the interval [0.699, 0.719] includes 0.7, which takes no image."""
    rows = [row("real", 0.709, confusion=CONFUSION, frechet_classifier=None)]
    found = doubts(*rows)
    assert [each.fatal for each in found] == [headline(rows, found)]
    assert headline(rows, found).startswith(
        "No conclusion: the classifier trained on real images is no better"
    )
    assert "reaches 70.9 %, and always naming the most frequent class 70.0 %" in found[0].text
    assert tables.to_markdown(rows, found).startswith("**Warning:** The classifier trained on real images")
    assert doubts(row("real", 0.711, confusion=CONFUSION)) == []


def test_chance_of_attributes_is_that_of_their_majorities():
    assert doubts(row("real", 0.8, majority=0.795))[0].fatal
    assert doubts(row("real", 0.8, majority=0.78)) == []


def test_a_simple_classifier_that_beats_the_network_is_named():
    undertrained = row("real", 0.947, 40, accuracy_nearest_neighbour=0.981, accuracy_linear=0.9)
    within = row("real", 0.975, 80, accuracy_nearest_neighbour=0.981)  # up to 0.985
    (found,) = doubts(undertrained, {**undertrained, "generator": "cgan"}, within)
    assert "undertrained at 40 % of the data" in found.text
    assert "reaches 98.1 % and the network 94.7 %" in found.text
    assert not found.fatal


def test_quick_sizes_are_no_result():
    rows = [row("real", 0.98), row("synthetic", 0.9, difference=-0.08)]
    found = doubts(*rows, first_look=True)
    assert headline(rows, found) == "QUICK: no number here is a result."


def test_unhealthy_generators_are_named():
    unhealthy = {"dcgan-40-0": [("3", "collapsed"), ("5", "collapsed")], "dcgan-60-0": []}
    (found,) = doubts(row("real", 0.98), unhealthy=unhealthy)
    assert "Generators of 1 of 2 arms" in found.text
    assert "dcgan-40-0 (3: collapsed), dcgan-40-0 (5: collapsed)" in found.text


def test_features_of_few_images_are_doubted():
    """With 72 test images, coloured fog had a precision of 0.944."""
    synthetic = row("synthetic", 0.9, measured={"precision": {"n": 500, "n_reference": 72}})
    judged, trained = doubts(row("real", 0.98), synthetic, n_train=288)
    assert "as few as 72 images" in judged.text
    assert "trained on 288 images only" in trained.text
