"""Charts of results: accuracy, precision and recall, training curves, fairness gaps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from labelmint.gans.settings import COLLAPSED_BELOW
from labelmint.reporting import sources
from labelmint.reporting.charts import Axis, Point, Series, interval_chart, legend, line_chart, number
from labelmint.reporting.replicates import Estimate, Row, by_source, estimate
from labelmint.runtime.words import shortened

_OFFSET_PERCENT = 0.9  # between the points of neighbouring lines, so that their bars do not overlap
# Families whose discriminator outputs the logit of a probability; the scores of the others are unbounded.
_LOGISTIC = {"vanilla", "dcgan", "cgan", "acgan", "attribute_cgan", "fairness_gan"}
_ACCURACY_AXIS = Axis("accuracy on real test images, %")


@dataclass(frozen=True)
class Chart:
    """A chart and its legend. svg is empty if there is nothing to draw."""

    svg: Markup
    legend: Markup = Markup("")

    def __bool__(self) -> bool:
        return bool(self.svg)


def accuracy(rows: list[Row]) -> Chart:
    """Accuracy against percent, one line per generator and main source.

    The classifier of the real images alone does not depend on a generator, so it has one line. If there is
    one generator, the colours distinguish sources, otherwise generators.
    """
    groups = by_source(rows)
    generators = sorted({row["generator"] for row in rows})
    percents = sorted({row["percent"] for row in rows})
    series = []
    for source in sources.MAIN:
        shared = sources.is_real(source)
        for index, generator in enumerate(generators[:1] if shared else generators):
            by_percent = {
                percent: estimate(group, "accuracy")
                for (name, percent, other), group in groups.items()
                if other == source and (shared or name == generator)
            }
            points = [
                _accuracy_point(percent, found, f" with {percent} % of the real data", percent=str(percent))
                for percent, found in sorted(by_percent.items())
            ]
            one_line = shared or len(generators) == 1
            line = Series(
                sources.LABELS[source] + ("" if one_line else f", {generator}"),
                points,
                colour=sources.colour(source) if one_line else _generator_colour(index),
                marker=sources.MARKERS[source],
                dashed=source == "mixed",
                data={"source": source} | ({} if shared else {"generator": generator}),
            )
            series.append(line)
    series = _side_by_side([each for each in series if each.points])
    x = Axis("fraction of the real training data, %", percents)
    chart = line_chart("Accuracy against the fraction of real data", x, _ACCURACY_AXIS, series)
    return Chart(chart, legend(series))


def sweep(rows: list[Row]) -> Chart:
    """Accuracy against the number of synthetic images, one line per generator and percent.

    Empty without a sweep.
    """
    groups = {key: group for key, group in by_source(rows).items() if sources.is_sweep(key[2])}
    lines = sorted({key[:2] for key in groups})
    if len(groups) == len(lines):
        return Chart(Markup(""))
    series = []
    for index, (generator, percent) in enumerate(lines):
        points = {}
        for key, group in groups.items():
            if key[:2] == (generator, percent):
                count = group[0]["n_synthetic"]
                found = estimate(group, "accuracy")
                points[count] = _accuracy_point(count, found, f" with {count:,} synthetic images")
        in_order = [points[count] for count in sorted(points)]
        data = {"generator": generator, "percent": str(percent), "source": "synthetic"}
        series.append(Series(f"{generator}, {percent} %", in_order, index, "square", data=data))
    x = Axis("number of synthetic training images", log=True)
    chart = line_chart("Accuracy against the number of synthetic images", x, _ACCURACY_AXIS, series)
    return Chart(chart, legend(series))


def controls(rows: list[Row]) -> list[tuple[str, Markup]]:
    """Title and chart of all sources, for each generator and percent with more than the main sources."""
    groups: dict[tuple[str, int], dict[str, Estimate]] = defaultdict(dict)
    for (generator, percent, source), group in by_source(rows).items():
        groups[generator, percent][source] = estimate(group, "accuracy")
    charts = []
    for (generator, percent), by_name in groups.items():
        if not set(by_name) - set(sources.MAIN):
            continue
        lines = []
        for source, found in by_name.items():
            value, low, high = 100 * found.value, 100 * found.low, 100 * found.high
            point = Point(value, 0, low, high, _accuracy_text(found), {"source": source})
            lines.append((source, sources.colour(source), point))
        title = f"All sources of {generator} at {percent} %"
        charts.append((f"{generator}, {percent} %", interval_chart(title, _ACCURACY_AXIS.label, lines)))
    return charts


def plane(rows: list[Row]) -> Chart:
    """Precision against recall of synthetic images, and of the real training images, the upper bound."""
    series = []
    generators = sorted({row["generator"] for row in rows})
    measured = [row for row in rows if row.get("precision") is not None]
    for source in ("real", "synthetic"):
        real = source == "real"
        for index, generator in enumerate(generators[:1] if real else generators):
            points = {}
            for row in measured:
                if row["source"] != source or not (real or row["generator"] == generator):
                    continue
                arm = f"{row['percent']} %, seed {row['seed']}"
                tooltip = f"precision {row['precision']:.3f}, recall {row['recall']:.3f} at {arm}"
                data = {"percent": str(row["percent"]), "seed": str(row["seed"])}
                points[arm] = Point(row["recall"], row["precision"], tooltip=tooltip, data=data)
            if points:
                line = Series(
                    "real images, the upper bound" if real else f"synthetic images from {generator}",
                    list(points.values()),
                    0 if real else _generator_colour(index),
                    sources.MARKERS[source],
                    line=False,
                    data={"source": source} | ({} if real else {"generator": generator}),
                )
                series.append(line)
    x = Axis("recall: fraction of the real variety that is covered", minimum=0, maximum=1)
    y = Axis("precision: fraction of synthetic images that look real", minimum=0, maximum=1)
    return Chart(line_chart("Precision and recall", x, y, series, height=280), legend(series))


def training(table: list[dict[str, Any]], family: str, max_points: int) -> list[tuple[str, Chart]]:
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


def fairness(gaps: dict[str, Any]) -> Markup:
    """Every gap of the labels and of the classifiers, in percentage points, with its interval."""
    rows = []
    for criterion, short in (("demographic_parity", "parity"), ("equality_of_opportunity", "opportunity")):
        measured = [(f"{source} labels", source, found) for source, found in gaps["data"].items()]
        measured += [(f"trained on {source}", source, found) for source, found in gaps["classifiers"].items()]
        for name, source, found in measured:
            if gap := found.get(criterion):
                value, low, high = (100 * gap[part] for part in ("value", "low", "high"))
                tooltip = f"{value:+.2f} points ({low:+.2f} to {high:+.2f})"
                point = Point(value, 0, low, high, tooltip, {"source": source})
                rows.append((f"{short}, {name}", sources.colour(source), point))
    return interval_chart("Fairness gaps", "gap, points; 0 is fair", rows, zero=0)


def sigmoid(value: float) -> float:
    """Logistic function; NaN for a value that is not finite."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) if math.isfinite(value) else math.nan


def thinned(values: list[Any], count: int) -> list[Any]:
    """At most `count` values, evenly spaced, including the first and the last."""
    if len(values) <= count:
        return values
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def _accuracy_point(x: float, found: Estimate, where: str, **data: str) -> Point:
    seeds = f", {found.seeds} seeds" if found.seeds > 1 else ""
    tooltip = f"{_accuracy_text(found)}{where}{seeds}"
    return Point(x, 100 * found.value, 100 * found.low, 100 * found.high, tooltip, data)


def _accuracy_text(found: Estimate) -> str:
    return f"{100 * found.value:.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f})"


def _side_by_side(series: list[Series]) -> list[Series]:
    """The same lines, each moved a little along the x axis."""
    step = _OFFSET_PERCENT * min(1.0, 6 / max(1, len(series)))
    moved = []
    for index, each in enumerate(series):
        offset = step * (index - (len(series) - 1) / 2)
        moved.append(replace(each, points=[replace(point, x=point.x + offset) for point in each.points]))
    return moved


def _generator_colour(index: int) -> int:
    """Colour of one generator; the first colour is that of real images."""
    return 1 + index % 7
