"""Pictures of docs/results: real and synthetic accuracy by data set and fraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from benchmarks.results_parts import png
from benchmarks.results_parts.index import Row
from benchmarks.results_parts.records import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = {"real": ("o", 0), "synthetic": ("s", 1)}
"""Marker and index in the report's palette, by source."""
_COLUMNS = 2
_RUN_STEP, _SOURCE_STEP = 3.0, 1.2
"""Percent between the runs of one fraction, and between the sources of a run, so that bars do not overlap."""


def draw(rows: Sequence[Row]) -> bytes:
    """A PNG with a panel for each data set. rows: sorted by data set and fraction."""
    from matplotlib.figure import Figure

    panels = [(name, list(own)) for name, own in groupby(rows, lambda row: row.entry.dataset)]
    width = min(_COLUMNS, len(panels))
    height = -(-len(panels) // width)
    figure = Figure((4 * width, 2.7 * height + 0.6), dpi=100, layout="constrained")
    grid = list(figure.subplots(height, width, squeeze=False).flat)
    for axes, (name, own) in zip(grid, panels):
        _draw_panel(axes, name, own)
    for axes in grid[len(panels) :]:
        axes.remove()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=width, fontsize=9)
    return png.of(figure, shown(rows))


def _draw_panel(axes: Axes, title: str, rows: list[Row]) -> None:
    from labelmint.reporting.charts import PALETTE

    for number, (source, (marker, colour)) in enumerate(_LOOKS.items()):
        points = [
            (percent + _RUN_STEP * index + _SOURCE_STEP * number, row.entry.sources[source])
            for percent, own in groupby(rows, lambda row: row.entry.percent)
            for index, row in enumerate(own)
            if source in row.entry.sources
        ]
        axes.errorbar(
            [x for x, _ in points],
            [100 * found.accuracy for _, found in points],
            list(zip(*(_bars(found) for _, found in points))) or None,
            color=PALETTE[colour][0],
            linestyle="none",
            marker=marker,
            markersize=5,
            capsize=3,
            label=f"trained on {source} images only",
        )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("fraction of the real training data, %", fontsize=9)
    axes.set_ylabel("accuracy on real\ntest images, %", fontsize=9)
    axes.set_xticks(sorted({row.entry.percent for row in rows}))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)


def _bars(found: Measured) -> tuple[float, float]:
    """Lengths of the interval below and above the point; NaN, which is not drawn, where not known."""
    if found.low is None or found.high is None:
        return math.nan, math.nan
    return 100 * (found.accuracy - found.low), 100 * (found.high - found.accuracy)


def shown(rows: Sequence[Row]) -> list[object]:
    """What the picture depends on, for `png.shows`."""
    return [
        (
            row.entry.arm,
            {name: asdict(row.entry.sources[name]) for name in _LOOKS if name in row.entry.sources},
        )
        for row in rows
    ]
