"""What several replicates say together: means and 95 % intervals over seeds, where one alone has its interval over test images."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """value, and its 95 % interval; seeds: how many replicates it is a mean of, 1 where the interval is one replicate's own."""

    value: float
    low: float
    high: float
    seeds: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    @property
    def beyond_doubt(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def estimate(rows: list[Row], name: str) -> Estimate:
    """Of the column `name` over replicates; `name`_low and `name`_high are a single row's own interval.

    Several: Student's t over seeds, with one degree of freedom less than seeds, so that two replicates admit how little they say; and, as
    independent of it, the draw of the test images, which all replicates share and their spread does not show: the mean of their own
    intervals. The two half-widths are added as squares. A difference was taken within each replicate, on the same real images and the
    same test images: it is paired by itself.
    """
    values = np.array([row[name] for row in rows], np.float64)
    if len(values) == 1:
        return Estimate(float(values[0]), rows[0][f"{name}_low"], rows[0][f"{name}_high"], 1)
    from scipy.stats import t

    over_seeds = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    of_test_images = float(np.mean([row[f"{name}_high"] - row[f"{name}_low"] for row in rows])) / 2
    half, mean = float(np.hypot(over_seeds, of_test_images)), float(values.mean())
    return Estimate(mean, mean - half, mean + half, len(values))


def by_source(rows: list[Row]) -> dict[tuple[str, int, str], list[Row]]:
    """(generator, percent, source) -> the rows of its replicates, of those that have an accuracy."""
    groups = defaultdict(list)
    for row in rows:
        if row["accuracy"] is not None:
            groups[row["generator"], row["percent"], row["source"]].append(row)
    return groups


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """One line per (generator, percent, source): estimates of accuracy and difference, and the deviation over seeds."""
    lines = []
    for (generator, percent, source), own in by_source(rows).items():
        lines.append(
            {
                "generator": generator,
                "percent": percent,
                "source": source,
                "accuracy": estimate(own, "accuracy"),
                "difference": estimate(own, "difference"),
                "worst_class_recall": min(row["worst_class_recall"] for row in own),
            }
        )
    return lines
