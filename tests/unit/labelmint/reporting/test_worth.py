"""Worth of an arm's images: rows of results become a curve, and its inverse stands in every output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labelmint.metrics import per_image
from labelmint.metrics.worth import Worth
from labelmint.reporting import figures, tables, verdict, worth
from labelmint.reporting.replicates import Row
from tests.unit.labelmint.reporting.rows import row

SIZES = {"real_10_percent": 100, "real_50_percent": 500, "real": 1000}
ACCURACIES = {"real_10_percent": 0.6, "real_50_percent": 0.8, "real": 0.9}
CONFUSION = [[20, 80], [20, 80]]


def measured(source: str, accuracy: float, seed: int = 0, **more: Any) -> Row:
    """A row of the arm of 100 %, with this accuracy on 200 test images."""
    order = np.random.default_rng([seed, *source.encode()]).permutation(200)
    scores = (order < round(200 * accuracy)).astype(float)
    own = {"correct": per_image.packed(scores, 1), "confusion": CONFUSION, "measured": {}}
    return row(source, accuracy, percent=100, seed=seed) | {"n_real": SIZES.get(source, 0)} | own | more


@pytest.fixture
def rows() -> list[Row]:
    found = [measured(source, accuracy) for source, accuracy in ACCURACIES.items()]
    return [*found, measured("synthetic", 0.8, n_synthetic=10_000), measured("mixed", 0.95, n_real=1000)]


def test_known_accuracies_have_known_worths(rows):
    found = worth.valued(rows)
    assert list(found.rows) == [100, 500, 1000]
    assert found.of["dcgan", 100, "synthetic"].value == pytest.approx(500)
    mixed = found.of["dcgan", 100, "mixed"]
    assert (mixed.value, mixed.high, mixed.largest) == (1000, 1000, 1000)
    assert found.columns(rows[0]) == {}
    columns = found.columns(rows[-2])
    assert columns["worth"] == pytest.approx(500)
    assert columns["worth_low"] < 500 < columns["worth_high"]


def test_without_points_below_the_fractions_nothing_is_worth_anything(rows):
    """Real images of 40 to 100 % alone say nothing about fewer."""
    found = worth.valued([each for each in rows if "percent" not in each["source"]])
    assert (found.rows, found.of) == ({}, {})
    assert not figures.worth(rows, found)
    assert "worth" not in verdict.verdict(rows, 200, found.of)[0]


def test_a_number_of_images_that_a_seed_lacks_is_no_point(rows):
    more = [measured(each["source"], each["accuracy"], seed=1) for each in rows[1:]]
    assert list(worth.valued([*rows, *more]).rows) == [500, 1000]


def test_the_verdict_says_it(rows):
    sentence = verdict.verdict(rows, 200, worth.valued(rows).of)[0]
    assert " The 10,000 synthetic images are worth 500 [" in sentence
    assert "; added to the 1,000, they act like ≥ 1,000 [" in sentence


def test_fewer_than_the_smallest_number_is_said_and_read_back(rows):
    poor = [*rows, measured("synthetic", 0.55, n_synthetic=10_000) | {"generator": "poor"}]
    values = worth.valued(poor)
    table = tables.to_table([each | values.columns(each) for each in poor])
    found = worth.published(table)["poor", 100, "synthetic"]
    assert found == values.of["poor", 100, "synthetic"]
    assert worth.in_words(found).startswith("≤ 100 [")


def test_the_table_has_its_columns_last(rows):
    values = worth.valued(rows)
    table = tables.to_table([each | values.columns(each) for each in rows])
    assert list(table[0])[-3:] == ["worth", "worth_low", "worth_high"]
    by_source = {each["source"]: each for each in table}
    assert by_source["synthetic"]["worth"] == pytest.approx(500)
    assert by_source["real"]["worth"] is None


def test_results_of_an_earlier_evaluation_are_not_those_of_an_arm(rows):
    values = worth.valued(rows)
    table = tables.to_table([each | values.columns(each) for each in rows])
    (own,) = (each for each in rows if each["source"] == "synthetic")
    assert worth.recorded(table, rows).startswith("500 [")
    assert worth.recorded(table, [own | {"accuracy": own["accuracy"] + 1e-7}]).startswith("500 [")
    for other in ({"percent": 40}, {"seed": 1}, {"accuracy": 0.805}, {"source": "real"}):
        assert worth.recorded(table, [own | other]) == ""


def test_the_chart_has_the_curve_and_both_points(rows):
    chart = figures.worth(rows, worth.valued(rows))
    assert "80.00 % (79.00 to 81.00), worth 500 [" in chart.svg
    assert "worth ≥ 1,000 [" in chart.svg
    assert chart.svg.count('class="band"') == 1
    assert figures.controls(rows) == []
    assert [name in chart.legend for name in ("real images only", "synthetic images only")] == [True, True]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (6.4, "6"), (5, "≤ 5"), (314.2, "310"), (1234, "1,200"), (2000, "≥ 2,000")],
)
def test_words(value, text):
    assert worth.in_words(Worth(value, 0, 2000, 5, 2000)) == f"{text} [0, ≥ 2,000]"
