"""The chart of the accuracies of all sources by percent, as a PNG and as a page: the lines of the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Any

SOURCES = ("real", "synthetic", "mixed")
_MARKERS = {"circle": "o", "square": "s", "triangle": "^"}
_HASH_LENGTH = 8

Row = dict[str, Any]


def png(rows: Sequence[Row], dataset: str, by_settings: bool = False) -> bytes:
    """Accuracy on real test images, with 95 % intervals, against the percentage of real data.

    Args:
        rows: Results with generator, percent, seed, source, accuracy, accuracy_low and accuracy_high.
        dataset: Its name, for the title.
        by_settings: Whether results with different values of `settings` are separate lines.
    """
    from matplotlib.figure import Figure

    from labelmint.reporting.charts import PALETTE
    from labelmint.reporting.figures import ACCURACY_AXIS, accuracy_lines

    figure = Figure((7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    short = [{**row, "settings": str(row.get("settings"))[:_HASH_LENGTH]} for row in rows]
    for line in accuracy_lines(short, by="settings" if by_settings else ""):
        lengths = [
            (point.y - point.low, point.high - point.y)
            for point in line.points
            if point.low is not None and point.high is not None
        ]
        axes.errorbar(
            [point.x for point in line.points],
            [point.y for point in line.points],
            list(zip(*lengths, strict=True)),
            color=PALETTE[line.colour % len(PALETTE)][0],
            linestyle="--" if line.dashed else "-",
            marker=_MARKERS[line.marker],
            capsize=3,
            label=line.name,
        )
    axes.set_xlabel("fraction of the real training data, %")
    axes.set_ylabel(ACCURACY_AXIS.label)
    axes.set_xticks(sorted({row["percent"] for row in rows}))
    axes.set_title(f"{dataset}: classifiers by their training images (95 % intervals)", fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2 if by_settings else 3, fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def page(rows: Sequence[Row], dataset: str) -> str:
    """An HTML page, which needs no other file, with the report's own chart; its points explain themselves."""
    from labelmint.reporting.figures import accuracy
    from labelmint.reporting.page import stylesheet

    chart = accuracy(list(rows))
    title = escape(f"{dataset}: accuracy against the fraction of real data, with 95 % intervals")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{stylesheet()}"
        "main {max-width: 45rem} h1 {font-size: 1.1rem}</style>"
        f"<main><h1>{title}</h1>{chart.svg}{chart.legend}</main></html>"
    )
