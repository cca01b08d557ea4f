"""Differences from an earlier run."""

from __future__ import annotations

import pytest

from labelmint.reporting import against
from labelmint.runtime.errors import InputError
from tests.unit.labelmint.reporting.rows import row


def test_the_interval_is_newcombes():
    """Newcombe 1998, Table II, example (a): 56/70 and 48/80 give 0.2 with 0.0524 to 0.3339 by method 10."""
    now = row("synthetic", 56 / 70, accuracy_low=0.69183, accuracy_high=0.87695)
    then = row("synthetic", 48 / 80, accuracy_low=0.49045, accuracy_high=0.70038)
    (change,) = against.changes([now], [then])
    found = change.difference
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=2e-4)
    assert against.headline([change]) == "Accuracy rose in 1 of 1 comparison."


def test_real_images_are_compared_once_and_the_rest_by_generator():
    rows = [
        {**row(source, 0.9, percent), "generator": generator}
        for generator in ("dcgan", "cgan")
        for percent in (100, 40)
        for source in ("real", "synthetic")
    ]
    then = [each for each in rows if each["percent"] == 40]
    assert [each.name for each in against.changes(rows, then)] == [
        "40 %, real",
        "cgan 40 %, synthetic",
        "dcgan 40 %, synthetic",
    ]


def test_a_change_is_counted_only_outside_of_the_noise():
    now = [row("real", 0.95), row("synthetic", 0.80), row("mixed", 0.96)]
    then = [row("real", 0.96), row("synthetic", 0.90), row("mixed", 0.90)]
    found = against.changes(now, then)
    assert against.headline(found) == "Accuracy rose in 1 and fell in 1 of 3 comparisons."
    assert "dcgan 40 %, synthetic   90.00   80.00  −10.00 [−11.41, −8.59]" in against.to_text(found)
    assert [each["difference"] for each in against.to_rows(found)] == pytest.approx([-0.01, -0.1, 0.06])
    page = against.render(found, "digits", "<b>")
    assert "−11.41 – −8.59" in page
    assert "since &lt;b&gt;?" in page


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (
            [row("real", 0.9) | {"dataset": "mnist"}],
            "are of mnist, those here of digits; name a run on the same",
        ),
        ([row("real", 0.9) | {"split": "validation"}], "are of validation, those here of test"),
        ([row("real", 0.9, 60)], "no generator, percent and source in common"),
        ([{"a": 1}], "no results of labelmint"),
        ([], "no results of labelmint"),
    ],
    ids=["data set", "split", "percent", "table", "empty"],
)
def test_what_cannot_be_compared_is_refused(then, message):
    with pytest.raises(InputError, match=message):
        against.changes([row("real", 0.9) | {"split": "test"}], then)
