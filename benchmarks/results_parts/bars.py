"""Bar charts of pages whose numbers are in no record: drawn from the page's own table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_parts import png

_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
_Table = list[list[str]]


@dataclass(frozen=True)
class Bars:
    """What a chart shows of a table.

    labels, values: headings of the columns that name a row, and of those that are drawn. axis: what the
    values are. table: number of the table on the page, from 0.
    """

    labels: tuple[str, ...]
    values: tuple[str, ...]
    axis: str
    table: int = 0


@dataclass(frozen=True)
class Bar:
    """Values of a row by column; None where the table has no number."""

    label: str
    values: tuple[float | None, ...]


_REMEDIES = Bars(("generators",), ("mnist 40 %", "fashion_mnist 40 %"), "accuracy from synthetic images, %")
CHARTS = {
    "2026-11-23-engine.md": Bars(("networks",), ("ours", "script"), "images/s of ten generators"),
    "2026-11-23-prepare.md": Bars(("tree",), ("ours, 2", "torchvision, 2 workers"), "images/s"),
    "ceilings.md": Bars(("data, feature network", "images"), ("density", "coverage"), "real images"),
    "chosen_on_test.md": Bars(("chosen on",), ("real, %", "synthetic, %"), "accuracy, %"),
    "cifar10.md": Bars(("trained on", "steps of each D"), ("accuracy %, 95 % (Wilson)",), "accuracy, %"),
    "distillation.md": Bars(
        ("labels", "temperature", "images per class"), ("mnist, %", "fashion_mnist, %"), "accuracy, %"
    ),
    "evaluate.md": Bars(("part",), ("plain, s", "now, s"), "seconds"),
    "fingerprint.md": Bars(("seen", "digits", "images"), ("gap",), "held-out less real images, points"),
    "gpu.md": Bars(
        ("ten MNIST generators (28 px, batch 128)",), ("images/s",), "images/s at ee0e0c7", table=1
    ),
    "limited_data.md": _REMEDIES,
    "limited_data_test.md": _REMEDIES,
    "mnist_choices.md": Bars(
        ("generators at 40 %",), ("not filtered, %", "filtered, %"), "accuracy from synthetic images, %"
    ),
    "overhead.md": Bars(("seconds",), ("this version", "commit ee0e0c7"), "seconds of 23 stages"),
    "readers.md": Bars(("format",), ("ours, images/s", "torchvision, images/s"), "images/s"),
    "recipe.md": Bars(("real data", "trained on"), ("accuracy %, 95 %",), "accuracy, %"),
    "reliability.md": Bars(("hit",), ("SIGKILL", "SIGTERM", "SIGINT"), "signals survived"),
}
"""Charts by page; each is in PAGE.png."""


def read(page: Path, chart: Bars) -> list[Bar]:
    """Rows of the chart's table. Raises: IndexError or ValueError if the page has no such table or column."""
    headings, *rows = list(_tables(page.read_text(encoding="utf-8")))[chart.table]
    labels, values = ([headings.index(name) for name in names] for names in (chart.labels, chart.values))
    above = [""] * len(headings)
    found = []
    for row in rows:
        above = [cell or before for cell, before in zip(row, above, strict=True)]
        label = ", ".join(filter(lambda cell: cell != "–", (above[column] for column in labels)))
        found.append(Bar(label, tuple(_number(row[column]) for column in values)))
    return [bar for bar in found if any(value is not None for value in bar.values)]


def draw(bars: Sequence[Bar], chart: Bars) -> bytes:
    """A PNG with a horizontal bar for each value."""
    from matplotlib.figure import Figure

    from labelmint.reporting.charts import PALETTE

    count = len(chart.values)
    figure = Figure((8, 0.9 + len(bars) * (0.14 + 0.14 * count)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(chart.values):
        points = [(row, bar.values[number]) for row, bar in enumerate(bars)]
        drawn = [(row + 0.8 * number / count, value) for row, value in points if value is not None]
        rows, lengths = zip(*drawn)
        container = axes.barh(rows, lengths, 0.8 / count, color=PALETTE[number][0], label=name)
        axes.bar_label(container, [f"{value:,.10g}" for value in lengths], padding=3, fontsize=8)
    axes.set_yticks(
        [row + 0.4 * (count - 1) / count for row in range(len(bars))], [bar.label for bar in bars]
    )
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    axes.set_xlabel(chart.axis, fontsize=9)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    if count > 1:
        figure.legend(loc="outside upper center", ncols=count, fontsize=8)
    return png.of(figure, shown(bars, chart))


def shown(bars: Sequence[Bar], chart: Bars) -> list[object]:
    """What the picture depends on, for `png.shows`."""
    return [chart.axis, chart.values, [[bar.label, bar.values] for bar in bars]]


def _tables(text: str) -> Iterator[_Table]:
    """Cells of a page's Markdown tables, without emphasis, code marks and the lines under the headings."""
    table: _Table = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = line.strip().strip("|").replace("`", "").split("|")
            table.append([cell.strip().strip("*") for cell in cells])
        elif table:
            yield [table[0], *table[2:]]
            table = []


def _number(cell: str) -> float | None:
    """The first number of a cell, e.g. 1,234.5 of "1,234.5 [1,200, 1,300]"; None without one."""
    found = _NUMBER.search(cell.replace("−", "-"))
    return float(found[0].replace(",", "")) if found else None
