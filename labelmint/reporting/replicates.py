"""Results over several replicates: means and 95 % intervals over seeds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval. seeds: number of replicates that it is the mean of."""

    value: float
    low: float
    high: float
    seeds: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def estimate(rows: list[Row], column: str) -> Estimate:
    """Mean of a column over replicates; for a single row, its value with its own interval.

    `column`_low and `column`_high are the ends of each row's own interval. For several rows, the half-width
    is the root of the sum of two squares. One is that of Student's t over seeds (one degree of freedom fewer
    than seeds). The other is the mean half-width of the rows' own intervals. It accounts for the choice of
    the test images, which all replicates have in common, so the spread over seeds does not contain it. A
    difference is paired already: each row has it from the same real images and the same test images.
    """
    values = np.array([row[column] for row in rows], np.float64)
    if len(values) == 1:
        return Estimate(float(values[0]), rows[0][f"{column}_low"], rows[0][f"{column}_high"], 1)
    from scipy.stats import t

    over_seeds = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    widths = [row[f"{column}_high"] - row[f"{column}_low"] for row in rows]
    over_test_images = float(np.mean(widths)) / 2
    half_width, mean = float(np.hypot(over_seeds, over_test_images)), float(values.mean())
    return Estimate(mean, mean - half_width, mean + half_width, len(values))


def by_source(rows: list[Row]) -> dict[tuple[str, int, str], list[Row]]:
    """Rows that have an accuracy, by (generator, percent, source): one row per replicate."""
    groups = defaultdict(list)
    for row in rows:
        if row["accuracy"] is not None:
            groups[row["generator"], row["percent"], row["source"]].append(row)
    return groups


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """One line per (generator, percent, source), with estimates of accuracy and difference."""
    return [
        {
            "generator": generator,
            "percent": percent,
            "source": source,
            "accuracy": estimate(group, "accuracy"),
            "difference": estimate(group, "difference"),
            "worst_class_recall": min(row["worst_class_recall"] for row in group),
        }
        for (generator, percent, source), group in by_source(rows).items()
    ]
