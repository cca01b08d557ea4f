"""Results over several replicates: means with 95 % intervals, and which differences are evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from labelmint.classifiers.sources import SOURCES
from labelmint.metrics import per_image
from labelmint.metrics.replicated import Replicated

Row = dict[str, Any]
Key = tuple[str, int, str]
"""Generator, percent and source."""

LEVEL = 0.05
"""Probability of any false claim among all comparisons."""
COMPARED = {source.name: source.change for source in SOURCES.values() if source.change}
"""Sources whose difference from the real images the report draws a conclusion from, and its words."""


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


@dataclass(frozen=True)
class Group:
    """Rows of one generator, percent and source, and of the real images beside them: a pair per replicate."""

    rows: Sequence[Row]
    real: Sequence[Row]

    @cached_property
    def accuracy(self) -> Estimate:
        """Mean accuracy. Of one replicate, the interval covers the choice of the test images only."""
        if len(self.rows) == 1:
            return _own(self.rows[0], "accuracy")
        if not all("correct" in row for row in self.rows):
            return _mean_of_columns(self.rows, "accuracy")
        scores = _scores(self.rows)
        return self._estimate(Replicated.of(scores).proportion(self.rows[0]["correct"]["labels"]))

    @cached_property
    def difference(self) -> Estimate:
        """Mean difference from the real images, paired by replicate and test image."""
        if len(self.rows) == 1:
            return _own(self.rows[0], "difference")
        if self.rows[0]["source"] == "real":
            return Estimate(0.0, 0.0, 0.0, len(self.rows))
        return self._estimate(self._change.difference())

    @cached_property
    def p_value(self) -> float:
        """Of the hypothesis that the mean difference is 0; of two or more replicates."""
        return self._change.p_value()

    @property
    def _change(self) -> Replicated:
        return Replicated.of(_scores(self.rows) - _scores(self.real))

    def _estimate(self, found: tuple[Any, Any, Any]) -> Estimate:
        value, low, high = map(float, found)
        return Estimate(value, low, high, len(self.rows))


def by_source(rows: list[Row]) -> dict[Key, Group]:
    """Groups of the rows that have an accuracy."""
    groups: dict[Key, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        if row["accuracy"] is not None:
            groups[row["generator"], row["percent"], row["source"]][row["seed"]] = row
    found = {}
    for (generator, percent, source), own in groups.items():
        real = groups.get((generator, percent, "real"), {})
        found[generator, percent, source] = Group(
            list(own.values()), [real[seed] for seed in own if seed in real]
        )
    return found


def seeds(rows: Iterable[Row]) -> int:
    """Number of replicates."""
    return len({row["seed"] for row in rows})


def evidence(groups: Mapping[Key, Group]) -> dict[Key, bool]:
    """Whether each comparison with the real images is evidence of a difference; empty with one replicate.

    p values are adjusted for the number of comparisons (Holm 1979), so that the probability of any false
    claim is at most `LEVEL`.
    """
    compared = {key: group for key, group in groups.items() if key[2] in COMPARED}
    if not compared or min(len(group.rows) for group in compared.values()) == 1:
        return {}
    adjusted = holm([group.p_value for group in compared.values()])
    return {key: p <= LEVEL for key, p in zip(compared, adjusted, strict=True)}


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number by Holm's step-down method, in the same order."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values)[order]))
    return [float(p) for p in adjusted]


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """One line per (generator, percent, source), with estimates of accuracy and difference."""
    return [
        {
            "generator": generator,
            "percent": percent,
            "source": source,
            "accuracy": group.accuracy,
            "difference": group.difference,
            "worst_class_recall": min(row["worst_class_recall"] for row in group.rows),
        }
        for (generator, percent, source), group in by_source(rows).items()
    ]


def _own(row: Row, column: str) -> Estimate:
    """Value of a single row with its own interval."""
    return Estimate(row[column], row[f"{column}_low"], row[f"{column}_high"], 1)


def _mean_of_columns(rows: Sequence[Row], column: str) -> Estimate:
    """Mean of rows that do not tell which test images are correct, as those of results.csv and of MLflow.

    The seeds are taken to share all of the test noise, and the variation between them is added: an interval
    that is rather too wide.
    """
    from scipy.special import stdtrit

    values, lows, highs = (
        np.array([row[name] for row in rows]) for name in (column, f"{column}_low", f"{column}_high")
    )
    seeds, mean = len(rows), float(values.mean())
    over_seeds = float(-stdtrit(seeds - 1, 0.025) * values.std(ddof=1) / np.sqrt(seeds))
    low = mean - float(np.hypot(mean - lows.mean(), over_seeds))
    high = mean + float(np.hypot(highs.mean() - mean, over_seeds))
    return Estimate(mean, max(0.0, low), min(1.0, high), seeds)


def _scores(rows: Sequence[Row]) -> np.ndarray:
    """Fraction of the labels of each test image that each row predicts correctly: float64 (R, N)."""
    return np.stack([per_image.unpacked(row["correct"]) for row in rows])
