"""What each generator's synthetic images are worth in real ones, alone and added to real ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from labelmint.classifiers.sources import parse
from labelmint.metrics import per_image
from labelmint.metrics.worth import LearningCurve, Worth, worth
from labelmint.reporting.replicates import COMPARED, Key, Row, by_source
from labelmint.reporting.sanity import chance

_DIGITS = 1e-5
"""Relative difference within which accuracies are the same: results.csv has six digits."""
COLUMNS = ("worth", "worth_low", "worth_high")
"""Of results.csv: in real images, over all seeds, so the same in each seed's row."""


@dataclass(frozen=True)
class Valued:
    """The learning curve of real images, and the worth of each set that was compared with it.

    rows: of the curve, by number of images, each a list over seeds.
    """

    rows: dict[int, list[Row]]
    of: dict[Key, Worth]

    def columns(self, row: Row) -> dict[str, float]:
        """Columns of results.csv; none for rows that have no worth."""
        found = self.of.get((row["generator"], row["percent"], row["source"]))
        return dict(zip(COLUMNS, (found.value, found.low, found.high))) if found else {}


def valued(rows: list[Row]) -> Valued:
    """Nothing where no learning curve was measured, or results of a seed are missing."""
    points = curve_points(rows)
    if not points:
        return Valued({}, {})
    curve = LearningCurve(
        np.array(list(points)),
        np.array([_correct(own) for own in points.values()]),
        chance(next(iter(points.values()))[0]),
    )
    return Valued(
        points,
        {
            key: worth(curve, _correct(group.rows))
            for key, group in by_source(rows).items()
            if key[2] in COMPARED
        },
    )


def curve_points(rows: list[Row]) -> dict[int, list[Row]]:
    """Rows of real images of any percentage by their number, each with all seeds; empty without a curve."""
    return _points(rows) if any(parse(row["source"]).percent for row in rows) else {}


def _points(rows: list[Row]) -> dict[int, list[Row]]:
    found: dict[int, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        if row["source"] == "real" or parse(row["source"]).percent:
            found[row["n_real"]].setdefault(row["seed"], row)
    seeds = {row["seed"] for row in rows}
    return {
        count: [found[count][seed] for seed in sorted(seeds)]
        for count in sorted(found)
        if found[count].keys() == seeds
    }


def _correct(rows: Sequence[Row]) -> np.ndarray:
    """Fractions of correct labels: float64 (R, N), by row and test image."""
    return np.array([per_image.unpacked(row["correct"]) for row in rows])


def published(results: list[Row]) -> dict[Key, Worth]:
    """Worth as results.csv has it; empty without a learning curve."""
    sizes, found = _points(results), {}
    for row in results:
        if row.get(COLUMNS[0]) is not None:
            value, low, high = (float(row[name]) for name in COLUMNS)
            found[row["generator"], row["percent"], row["source"]] = Worth(
                value, low, high, min(sizes), max(sizes)
            )
    return found


def recorded(results: list[Row], rows: list[Row]) -> str:
    """Worth of an arm's synthetic images by results.csv, in words; empty where it has none.

    rows: of the arm in data/metrics. A results.csv of an earlier evaluation has another accuracy.
    """
    values = published(results)
    for own, row in product(rows, results):
        if own["source"] == "synthetic" and is_published(own, row):
            found = values.get((row["generator"], row["percent"], row["source"]))
            return in_words(found) if found else ""
    return ""


def is_published(own: Row, row: Row) -> bool:
    """Whether a row of results.csv is this row of data/metrics, of the same evaluation."""
    if any(own[name] != row[name] for name in ("generator", "percent", "seed", "source")):
        return False
    accuracies = own["accuracy"], row["accuracy"]
    return None not in accuracies and math.isclose(*accuracies, rel_tol=_DIGITS)


def in_words(found: Worth) -> str:
    """E.g. 310 [250, 390]; a bound at either end of the curve has a sign that says so."""
    value, low, high = (_number(each, found) for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _number(value: float, found: Worth) -> str:
    """Two significant digits, since no interval is narrower."""
    if value >= found.largest:
        return f"≥ {found.largest:,}"
    if 0 < value <= found.smallest:
        return f"≤ {found.smallest:,}"
    if value < 10:
        return f"{value:.0f}"
    return f"{float(f'{value:.2g}'):,.0f}"
