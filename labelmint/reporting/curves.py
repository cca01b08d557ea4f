"""Training curves of generators."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from labelmint.gans.settings import COLLAPSED_BELOW
from labelmint.reporting.axes import Axis, number
from labelmint.reporting.charts import Point, Series, legend, line_chart
from labelmint.reporting.figures import Chart, thinned
from labelmint.runtime.words import shortened

# Families whose discriminator outputs the logit of a probability; the scores of the others are unbounded.
_LOGISTIC = {"vanilla", "dcgan", "cgan", "acgan", "attribute_cgan", "fairness_gan"}


def training_curves(table: list[dict[str, Any]], family: str, max_points: int) -> list[tuple[str, Chart]]:
    """Titles and charts of the training curves against images seen.

    Lines are means over the classes' generators, bands their ranges. table: rows of training.csv, as
    records.history reads them. max_points: of each curve.
    """
    curves = _Curves(table, max_points)
    diversity_title, diversity = curves.chart(
        "Diversity",
        Axis("spacing, synthetic ÷ real", minimum=0),
        [("diversity", "diversity", 2)],
        marks=[(1.0, "as real images"), (COLLAPSED_BELOW, "collapsed below")],
    )
    unhealthy = sorted({row["images_seen"] for row in table if row["health"] != "ok"})
    if unhealthy:
        note = Markup('<p class="note">A generator was unhealthy at {} images.</p>').format(
            shortened([number(value) for value in unhealthy], 6)
        )
        diversity = Chart(diversity.svg, diversity.legend + note)
    output = (
        curves.chart(
            "Probability given by the discriminator",
            Axis("σ(mean output): D predicts “real”", minimum=0, maximum=1),
            _discriminator_lines("score"),
            transform=sigmoid,
            marks=[(0.5, "undecided")],
        )
        if family in _LOGISTIC
        else curves.chart(
            "Output of the discriminator", Axis("mean output, unbounded"), _discriminator_lines("score")
        )
    )
    losses = [(f"D, {name}", column, colour) for name, column, colour in _discriminator_lines("loss")]
    return [
        curves.chart("Loss", Axis("loss"), [*losses, ("G", "g_loss", 2)]),
        output,
        curves.chart(
            "Accuracy of the discriminator",
            Axis("fraction classified correctly", minimum=0, maximum=1),
            _discriminator_lines("acc"),
        ),
        (diversity_title, diversity),
        curves.chart("Gradient of the generator", Axis("norm", minimum=0), [("gradient", "g_gradient", 3)]),
    ]


@dataclass(frozen=True)
class _Curves:
    table: list[dict[str, Any]]
    max_points: int

    def chart(
        self,
        title: str,
        y: Axis,
        lines: Sequence[tuple[str, str, int]],
        *,
        transform: Callable[[float], float] = float,
        marks: Iterable[tuple[float, str]] = (),
    ) -> tuple[str, Chart]:
        """lines: (name, column, colour) each."""
        series = [
            Series(name, self._points(column, transform), colour, "none", band=True)
            for name, column, colour in lines
        ]
        x = Axis("images seen, per generator")
        return title, Chart(line_chart(title, x, y, series, height=200, marks=marks), legend(series))

    def _points(self, column: str, transform: Callable[[float], float]) -> list[Point]:
        by_images_seen = defaultdict(list)
        for row in self.table:
            by_images_seen[row["images_seen"]].append(transform(row[column]))
        several = len({row["class"] for row in self.table}) > 1
        return [
            Point(seen, sum(values) / len(values), *((min(values), max(values)) if several else ()))
            for seen in thinned(sorted(by_images_seen), self.max_points)
            if (values := by_images_seen[seen])
        ]


def _discriminator_lines(quantity: str) -> list[tuple[str, str, int]]:
    return [("real images", f"d_{quantity}_real", 0), ("synthetic images", f"d_{quantity}_fake", 1)]


def sigmoid(value: float) -> float:
    """Logistic function; NaN for a value that is not finite."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) if math.isfinite(value) else math.nan
