"""What is drawn of the numbers: accuracies, the precision and recall plane, training, fairness gaps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from labelmint.gans.settings import COLLAPSED_BELOW
from labelmint.reporting.charts import Axis, Point, Series, interval_chart, legend, line_chart, number
from labelmint.reporting.replicates import Row, by_source, estimate

SOURCES = ("real", "synthetic", "mixed")
_LABELS = {"real": "real images only", "synthetic": "minted images only", "mixed": "real + minted"}
_MARKERS = {"real": "circle", "synthetic": "square", "mixed": "triangle"}
_SPREAD = 0.9  # percent between the points of neighbouring lines, so that their bars do not hide each other
# Families whose discriminator answers with the logit of a probability; the others' answers are scores without a bound.
_LOGISTIC = {"vanilla", "dcgan", "cgan", "acgan", "attribute_cgan", "fairness_gan"}


@dataclass(frozen=True)
class Chart:
    """svg is empty where there is nothing to draw."""

    svg: Markup
    legend: Markup = Markup("")

    def __bool__(self) -> bool:
        return bool(self.svg)


def accuracy(rows: list[Row], sources: Sequence[str] = SOURCES) -> Chart:
    """Accuracy against percent, one line per generator and source; bars are 95 % intervals, over seeds where there are several.

    The classifier of the real images alone knows no generator: it has one line. One generator is coloured by source, several each in its own colour.
    """
    groups = by_source(rows)
    names = sorted({row["generator"] for row in rows})
    series = []
    for source in sources:
        shared = source == "real" or source.startswith("real_")
        for place, generator in enumerate(names[:1] if shared else names):
            found = {
                percent: estimate(own, "accuracy")
                for (name, percent, kind), own in groups.items()
                if kind == source and (shared or name == generator)
            }
            alone = shared or len(names) == 1
            series.append(
                Series(
                    _LABELS.get(source, source) + ("" if alone else f", {generator}"),
                    [
                        Point(percent, 100 * each.value, 100 * each.low, 100 * each.high,
                              f"{100 * each.value:.2f} % ({100 * each.low:.2f} to {100 * each.high:.2f}) with {percent} % of the real data" + (f", {each.seeds} seeds" if each.seeds > 1 else ""),
                              {"percent": str(percent)})
                        for percent, each in sorted(found.items())
                    ],
                    colour=sources.index(source) if alone else _own(place),
                    marker=_MARKERS.get(source, "diamond"),
                    dashed=source == "mixed",
                    of={"source": source} | ({} if shared else {"generator": generator}),
                )
            )  # fmt: skip
    series = _beside([each for each in series if each.points])
    percents = sorted({row["percent"] for row in rows})
    axes = Axis("share of the real training data, %", percents), Axis("accuracy on real test images, %")
    chart = line_chart("Accuracy against the share of real data", *axes, series)
    return Chart(chart, legend(series))


def sweep(rows: list[Row]) -> Chart:
    """Accuracy of classifiers trained on minted images only against how many, a line per generator and percent; empty of no sweep."""
    found = {
        key: own
        for key, own in by_source(rows).items()
        if key[2] == "synthetic" or key[2].removeprefix("synthetic_").isdigit()
    }
    lines = sorted({key[:2] for key in found})
    if len(found) == len(lines):
        return Chart(Markup(""))
    series = []
    for place, (generator, percent) in enumerate(lines):
        points = {}
        for key, own in found.items():
            if key[:2] == (generator, percent):
                each, count = estimate(own, "accuracy"), own[0]["n_synthetic"]
                tip = f"{100 * each.value:.2f} % ({100 * each.low:.2f} to {100 * each.high:.2f}) with {count:,} minted images"
                points[count] = Point(count, 100 * each.value, 100 * each.low, 100 * each.high, tip)
        of = {"generator": generator, "percent": str(percent), "source": "synthetic"}
        series.append(Series(f"{generator}, {percent} %", [points[count] for count in sorted(points)], place, "square", of=of))  # fmt: skip
    axes = Axis("minted images trained on", log=True), Axis("accuracy on real test images, %")
    return Chart(line_chart("Accuracy against the number of minted images", *axes, series), legend(series))


def controls(rows: list[Row]) -> list[tuple[str, Markup]]:
    """Of each generator and percent, all its sources by their accuracy, where there are more than the usual three."""
    groups: dict[tuple[str, int], list[tuple[str, Point]]] = defaultdict(list)
    for (generator, percent, source), own in by_source(rows).items():
        each = estimate(own, "accuracy")
        tip = f"{100 * each.value:.2f} % ({100 * each.low:.2f} to {100 * each.high:.2f})"
        groups[generator, percent].append(
            (source, Point(100 * each.value, 0, 100 * each.low, 100 * each.high, tip, {"source": source}))
        )
    return [
        (f"{generator}, {percent} %", interval_chart(f"All sources of {generator} at {percent} %", "accuracy on real test images, %", found))
        for (generator, percent), found in groups.items()
        if {source for source, _ in found} - set(SOURCES)
    ]  # fmt: skip


def plane(rows: list[Row]) -> Chart:
    """Precision against recall of minted images, and of the real ones that a generator had, which is the ceiling."""
    series = []
    generators = sorted({row["generator"] for row in rows})
    for source, marker in (("real", "circle"), ("synthetic", "square")):
        for place, generator in enumerate(generators[:1] if source == "real" else generators):
            own = [
                row
                for row in rows
                if row["source"] == source and row.get("precision") is not None and (source == "real" or row["generator"] == generator)
            ]  # fmt: skip
            points = {}
            for row in own:
                of = f"{row['percent']} %, seed {row['seed']}"
                tip = f"precision {row['precision']:.3f}, recall {row['recall']:.3f} at {of}"
                points[of] = Point(row["recall"], row["precision"], tip=tip, of={"percent": str(row["percent"]), "seed": str(row["seed"])})  # fmt: skip
            if points:
                name = "real images, the ceiling" if source == "real" else f"minted by {generator}"
                known = {"source": source} | ({} if source == "real" else {"generator": generator})
                colour = 0 if source == "real" else _own(place)
                series.append(Series(name, list(points.values()), colour, marker, line=False, of=known))
    axes = Axis("recall: how much of the real variety is minted", least=0, most=1), Axis("precision: how many minted images look real", least=0, most=1)  # fmt: skip
    return Chart(line_chart("Precision and recall", *axes, series, height=280), legend(series))


def training(table: list[dict[str, Any]], family: str, most_points: int) -> list[tuple[str, Chart]]:
    """Losses, D's answers, what it gets right, and diversity against images seen: the mean over classes, and the band from least to most.

    table: rows of training.csv, as records.history reads them. most_points: of each curve. Returns: (title, chart) each.
    """

    def of(column: str, told: Callable[[float], float] = lambda value: value) -> list[Point]:
        by_point = defaultdict(list)
        for row in table:
            by_point[row["images_seen"]].append(told(row[column]))
        seen = thinned(sorted(by_point), most_points)
        spread = len({row["class"] for row in table}) > 1
        return [
            Point(at, sum(values) / len(values), *((min(values), max(values)) if spread else ()))
            for at in seen
            if (values := by_point[at])
        ]

    def panel(title: str, label: str, lines: list[tuple[str, str, int]], told: Callable[[float], float] = lambda value: value, **more: Any) -> tuple[str, Chart]:  # fmt: skip
        series = [Series(name, of(column, told), colour, "none", band=True) for name, column, colour in lines]
        marks = more.pop("marks", ())
        axes = Axis("images seen, per generator"), Axis(label, **more)
        return title, Chart(line_chart(title, *axes, series, height=200, marks=marks), legend(series))

    players = [("of real images", "d_{}_real", 0), ("of minted images", "d_{}_fake", 1)]

    def of_d(column: str) -> list[tuple[str, str, int]]:
        return [(name, form.format(column), colour) for name, form, colour in players]

    ailing = sorted({row["images_seen"] for row in table if row["health"] != "ok"})
    health = panel("Diversity", "spacing, minted ÷ real", [("diversity", "diversity", 2)], least=0, marks=[(1.0, "as real images"), (COLLAPSED_BELOW, "collapsed below")])  # fmt: skip
    if ailing:
        health = health[0], Chart(health[1].svg, health[1].legend + Markup('<p class="note">Some generator was unwell at {} images.</p>').format(_listed(ailing)))  # fmt: skip
    answers = (
        panel("Probability that D gives", "σ(mean output): D says “real”", of_d("score"), sigmoid, least=0, most=1, marks=[(0.5, "undecided")])
        if family in _LOGISTIC
        else panel("Output of D", "mean output, without bounds", of_d("score"))
    )  # fmt: skip
    return [
        panel("Loss", "loss", [*((f"D, {name}", column, colour) for name, column, colour in of_d("loss")), ("G", "g_loss", 2)]),
        answers,
        panel("What D gets right", "share told right", of_d("acc"), least=0, most=1),
        health,
        panel("Gradient of G", "norm", [("gradient", "g_gradient", 3)], least=0),
    ]  # fmt: skip


def fairness(gaps: dict[str, Any]) -> Markup:
    """Every gap of the labels and of the classifiers, in points, with its interval."""
    rows = []
    kinds = (("demographic_parity", "parity"), ("equality_of_opportunity", "opportunity"))
    for kind, short in kinds:
        told = [(f"{source} labels", source, found) for source, found in gaps["data"].items()]
        told += [(f"told by {source}", source, found) for source, found in gaps["classifiers"].items()]
        for name, source, found in told:
            if gap := found.get(kind):
                value, low, high = (100 * gap[part] for part in ("value", "low", "high"))
                tip = f"{value:+.2f} points ({low:+.2f} to {high:+.2f})"
                rows.append((f"{short}, {name}", Point(value, 0, low, high, tip, {"source": source})))
    return interval_chart("Fairness gaps", "gap, points; 0 is fair", rows, zero=0)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value)))) if math.isfinite(value) else math.nan


def thinned(values: list[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _beside(series: list[Series]) -> list[Series]:
    """The same lines, each a little to the side of the last."""
    step = _SPREAD * min(1.0, 6 / max(1, len(series)))
    moved = []
    for place, each in enumerate(series):
        aside = step * (place - (len(series) - 1) / 2)
        moved.append(replace(each, points=[replace(point, x=point.x + aside) for point in each.points]))
    return moved


def _own(place: int) -> int:
    """The colour of one generator among several; the first colour is that of real images."""
    return 1 + place % 7


def _listed(values: Iterable[float]) -> str:
    shown = [number(value) for value in values]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more points" if len(shown) > 6 else "")
