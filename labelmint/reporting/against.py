"""Results against those of an earlier run on the same data set: differences of accuracies, and their page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from labelmint.classifiers.sources import parse, position
from labelmint.metrics.intervals import independent_difference
from labelmint.reporting.charts import Point, interval_chart
from labelmint.reporting.figures import source_colour
from labelmint.reporting.page import stylesheet, templates
from labelmint.reporting.replicates import Estimate, Row, by_source
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import counted

_COLUMNS = ("dataset", "generator", "percent", "seed", "source", "accuracy", "accuracy_low", "accuracy_high")
_SAME = {"dataset": "the same data set", "split": "the same split of it"}
COVERAGE = (
    "The intervals treat the two runs as independent (Newcombe 1998, method 10). Where both were tested on "
    "the same images, they are rather too wide than too narrow. They cover the "
    "choice of the test images and, where both runs have several seeds, the variation between seeds. "
    "At 95 %, at most about one of twenty differences counts as a change by chance."
)
"""What the intervals of differences mean."""


@dataclass(frozen=True)
class Change:
    """Accuracy of the classifiers of one source, then and now, and now minus then with its 95 % interval.

    generator: empty for real images, which do not depend on one.
    """

    generator: str
    percent: int
    source: str
    then: Estimate
    now: Estimate

    @property
    def name(self) -> str:
        return f"{self.generator} {self.percent} %, {self.source}".lstrip()

    @property
    def difference(self) -> Estimate:
        """Both intervals, combined as those of independent values."""
        now, then = ((each.value, each.low, each.high) for each in (self.now, self.then))
        return Estimate(*independent_difference(now, then), min(self.then.seeds, self.now.seeds))


def changes(now: list[Row], then: list[Row]) -> list[Change]:
    """Change of every generator, percent and source that both have. now, then: rows of results.csv.

    Raises: InputError if `then` is no table of results, is of another data set or split, or has nothing in
    common with `now`.
    """
    if not then or not set(_COLUMNS) <= then[0].keys():
        raise InputError("these are no results of labelmint, which have the columns " + ", ".join(_COLUMNS))
    for column, same in _SAME.items():
        values = [
            ", ".join(sorted({str(row[column]) for row in rows if row.get(column)})) for rows in (then, now)
        ]
        if all(values) and values[0] != values[1]:
            raise InputError(
                f"its results are of {values[0]}, those here of {values[1]}; name a run on {same}"
            )
    before, after = _estimates(then), _estimates(now)
    if not before.keys() & after.keys():
        raise InputError("it has no generator, percent and source in common with the results here")
    return [Change(*key, before[key], after[key]) for key in after if key in before]


def _estimates(rows: list[Row]) -> dict[tuple[str, int, str], Estimate]:
    found: dict[tuple[str, int, str], Estimate] = {}
    for (generator, percent, source), group in by_source(rows).items():
        key = ("" if parse(source).origin == "real" else generator, percent, source)
        found.setdefault(key, group.accuracy)
    return dict(sorted(found.items(), key=lambda item: (item[0][1], position(item[0][2]), item[0][0])))


def headline(found: Sequence[Change]) -> str:
    """Number of comparisons in which accuracy rose, fell, or shows no change."""
    rose = sum(each.difference.low > 0 for each in found)
    fell = sum(each.difference.high < 0 for each in found)
    if not rose + fell:
        return f"No clear change of accuracy in {counted(len(found), 'comparison')}."
    counts = [f"{verb} in {count}" for verb, count in (("rose", rose), ("fell", fell)) if count]
    return f"Accuracy {' and '.join(counts)} of {counted(len(found), 'comparison')}."


def to_text(found: Sequence[Change]) -> str:
    """The headline and a table for a terminal, in percent and percentage points."""
    width = max(len(each.name) for each in found)
    lines = [headline(found), f"{'':{width}}  {'then':>6}  {'now':>6}  difference, 95 % interval"]
    for each in found:
        difference = each.difference
        ends = f"[{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"
        values = (
            f"{100 * each.then.value:6.2f}  {100 * each.now.value:6.2f}  {100 * difference.value:+.2f} {ends}"
        )
        lines.append(f"{each.name:{width}}  {values.replace('-', '−')}")
    return "\n".join(lines)


def to_rows(found: Sequence[Change]) -> list[dict[str, object]]:
    """The same for programs, as fractions."""
    return [
        {
            **{"generator": each.generator or None, "percent": each.percent, "source": each.source},
            **{"then": each.then.value, "now": each.now.value},
            **{"difference": each.difference.value, "low": each.difference.low, "high": each.difference.high},
        }
        for each in found
    ]


def render(found: Sequence[Change], dataset: str, run: str) -> str:
    """A page of the changes since `run`, which needs no other file."""
    return (
        templates()
        .get_template("against.html.j2")
        .render(
            changes=found,
            dataset=dataset,
            run=run,
            headline=headline(found),
            coverage=COVERAGE,
            chart=_chart(found),
            style=stylesheet(),
        )
    )


def _chart(found: Sequence[Change]) -> Markup:
    lines = []
    for each in found:
        value, low, high = (
            100 * end for end in (each.difference.value, each.difference.low, each.difference.high)
        )
        tooltip = f"{value:+.2f} points ({low:+.2f} to {high:+.2f})"
        lines.append((each.name, source_colour(each.source), Point(value, 0, low, high, tooltip)))
    title = "Change of accuracy since the earlier run"
    return interval_chart(title, "now minus then, points; 0 is no change", lines, zero=0)
