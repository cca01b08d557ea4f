"""Charts of results: accuracy, precision and recall, fairness gaps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from labelmint.classifiers.sources import parse
from labelmint.metrics.worth import Worth
from labelmint.reporting.axes import Axis
from labelmint.reporting.charts import Point, Series, interval_chart, legend, line_chart
from labelmint.reporting.replicates import Estimate, Group, Key, Row, by_source
from labelmint.reporting.worth import Valued, in_words

_OFFSET_PERCENT = 0.9  # between the points of neighbouring lines, so that their bars do not overlap
ACCURACY_AXIS = Axis("accuracy on real test images, %")


@dataclass(frozen=True)
class _Style:
    label: str
    marker: str
    colour: int


# The sources that every run has.
_MAIN_SOURCES = {
    "real": _Style("real images only", "circle", 0),
    "synthetic": _Style("synthetic images only", "square", 1),
    "mixed": _Style("real + synthetic images", "triangle", 2),
}
_OTHER_COLOUR = 7


@dataclass(frozen=True)
class Chart:
    """A chart and its legend. svg is empty if there is nothing to draw."""

    svg: Markup
    legend: Markup = Markup("")

    def __bool__(self) -> bool:
        return bool(self.svg)


def accuracy(rows: list[Row]) -> Chart:
    """Accuracy against percent, one line per generator and main source."""
    series = accuracy_lines(rows)
    x = Axis("fraction of the real training data, %", sorted({row["percent"] for row in rows}))
    chart = line_chart("Accuracy against the fraction of real data", x, ACCURACY_AXIS, series)
    return Chart(chart, legend(series))


def accuracy_lines(rows: list[Row], by: str = "") -> list[Series]:
    """Lines of accuracy against percent, one per generator and main source, side by side.

    The classifier of the real images alone does not depend on a generator, so it has one line. If there is
    one generator, the colours distinguish sources, otherwise generators.

    by: column whose values have lines of their own, in other colours and with their names; empty for none.
    """
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        parts[row[by] if by else None].append(row)
    series = []
    for number, (value, part) in enumerate(parts.items()):
        for line in _lines(part):
            name = line.name + (f", {by} {value}" if by else "")
            series.append(replace(line, name=name, colour=line.colour + number * len(_MAIN_SOURCES)))
    return _side_by_side(series)


def _lines(rows: list[Row]) -> list[Series]:
    groups = by_source(rows)
    generators = sorted({row["generator"] for row in rows})
    lines = []
    for source, style in _MAIN_SOURCES.items():
        shared = source == "real"
        for index, generator in enumerate(generators[:1] if shared else generators):
            by_percent = {
                percent: group.accuracy
                for (name, percent, other), group in groups.items()
                if other == source and (shared or name == generator)
            }
            points = [
                _accuracy_point(percent, found, f" with {percent} % of the real data", percent=str(percent))
                for percent, found in sorted(by_percent.items())
            ]
            one_line = shared or len(generators) == 1
            line = Series(
                style.label + ("" if one_line else f", {generator}"),
                points,
                colour=style.colour if one_line else _generator_colour(index),
                marker=style.marker,
                dashed=source == "mixed",
                data={"source": source} | ({} if shared else {"generator": generator}),
            )
            lines.append(line)
    return [line for line in lines if line.points]


def sweep(rows: list[Row]) -> Chart:
    """Accuracy against the number of synthetic images, one line per generator and percent.

    Empty without a sweep.
    """
    groups = {
        key: group
        for key, group in by_source(rows).items()
        if key[2] == "synthetic" or parse(key[2]).per_class is not None
    }
    lines = sorted({key[:2] for key in groups})
    if len(groups) == len(lines):
        return Chart(Markup(""))
    series = []
    for index, (generator, percent) in enumerate(lines):
        points = {}
        for key, group in groups.items():
            if key[:2] == (generator, percent):
                count = group.rows[0]["n_synthetic"]
                points[count] = _accuracy_point(count, group.accuracy, f" with {count:,} synthetic images")
        in_order = [points[count] for count in sorted(points)]
        data = {"generator": generator, "percent": str(percent), "source": "synthetic"}
        series.append(Series(f"{generator}, {percent} %", in_order, index, "square", data=data))
    x = Axis("number of synthetic training images", log=True)
    chart = line_chart("Accuracy against the number of synthetic images", x, ACCURACY_AXIS, series)
    return Chart(chart, legend(series))


def worth(rows: list[Row], values: Valued) -> Chart:
    """Accuracy against the number of real images, and where synthetic and mixed ones stand on that line.

    Empty without a learning curve.
    """
    groups = by_source(rows)
    series = []
    for source, style in _MAIN_SOURCES.items():
        if source == "real":
            points = [
                _accuracy_point(count, Group(own, own).accuracy, f" with {count:,} real images")
                for count, own in values.rows.items()
            ]
        else:
            points = [
                _worth_point(key, groups[key].accuracy, found)
                for key, found in values.of.items()
                if key[2] == source
            ]
        if points:
            line, data = source == "real", {"source": source}
            series.append(
                Series(style.label, points, style.colour, style.marker, line=line, band=line, data=data)
            )
    x = Axis("number of real training images", log=True)
    chart = line_chart("Worth in real images", x, ACCURACY_AXIS, series)
    return Chart(chart, legend(series))


def controls(rows: list[Row]) -> list[tuple[str, Markup]]:
    """Title and chart of all sources, for each generator and percent with more than the main sources.

    Points of the learning curve have a chart of their own.
    """
    groups: dict[tuple[str, int], dict[str, Estimate]] = defaultdict(dict)
    for (generator, percent, source), group in by_source(rows).items():
        if parse(source).percent is None:
            groups[generator, percent][source] = group.accuracy
    charts = []
    for (generator, percent), by_name in groups.items():
        if not set(by_name) - set(_MAIN_SOURCES):
            continue
        lines = []
        for source, found in by_name.items():
            value, low, high = 100 * found.value, 100 * found.low, 100 * found.high
            point = Point(value, 0, low, high, _accuracy_text(found), {"source": source})
            lines.append((source, source_colour(source), point))
        title = f"All sources of {generator} at {percent} %"
        charts.append((f"{generator}, {percent} %", interval_chart(title, ACCURACY_AXIS.label, lines)))
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
                    _MAIN_SOURCES[source].marker,
                    line=False,
                    data={"source": source} | ({} if real else {"generator": generator}),
                )
                series.append(line)
    x = Axis("recall: fraction of the real variety that is covered", maximum=1)
    y = Axis("precision: fraction of synthetic images that look real", maximum=1)
    return Chart(line_chart("Precision and recall", x, y, series, height=280), legend(series))


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
                rows.append((f"{short}, {name}", source_colour(source), point))
    return interval_chart("Fairness gaps", "gap, points; 0 is fair", rows, zero=0)


def thinned(values: list[Any], count: int) -> list[Any]:
    """At most `count` values, evenly spaced, including the first and the last."""
    if len(values) <= count:
        return values
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def _accuracy_point(x: float, found: Estimate, where: str, **data: str) -> Point:
    seeds = f", {found.seeds} seeds" if found.seeds > 1 else ""
    tooltip = f"{_accuracy_text(found)}{where}{seeds}"
    return Point(x, 100 * found.value, 100 * found.low, 100 * found.high, tooltip, data)


def _worth_point(key: Key, accuracy: Estimate, found: Worth) -> Point:
    generator, percent, _ = key
    tooltip = f"{_accuracy_text(accuracy)}, worth {in_words(found)} real images: {generator} at {percent} %"
    data = {"generator": generator, "percent": str(percent)}
    value, low, high = (100 * each for each in (accuracy.value, accuracy.low, accuracy.high))
    return Point(max(1.0, found.value), value, low, high, tooltip, data)


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


def source_colour(source: str) -> int:
    """Index in the palette of what a classifier was trained on."""
    return _MAIN_SOURCES[source].colour if source in _MAIN_SOURCES else _OTHER_COLOUR


def _generator_colour(index: int) -> int:
    """Colour of one generator; the first colour is that of real images."""
    return 1 + index % 7
