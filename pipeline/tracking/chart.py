"""The chart of the accuracies of all sources by percent, as a PNG and as a page."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

SOURCES = ("real", "synthetic", "mixed")
_COLOURS = {"real": "#555555", "synthetic": "#c8553d", "mixed": "#2a7f9e"}
_STYLES = ("-", "--", ":", "-.")

Row = dict[str, Any]


def png(rows: Sequence[Row], dataset: str, by_settings: bool = False) -> bytes:
    """Accuracy on real test images, with 95 % intervals, against the percentage of real data.

    Args:
        rows: Results with generator, percent, seed, source, accuracy, accuracy_low and accuracy_high.
        dataset: Its name, for the title.
        by_settings: Whether results with different values of `settings` are separate lines.
    """
    from matplotlib.figure import Figure

    figure = Figure((7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    rows = [row for row in rows if row["source"] in SOURCES]
    # A line connects results of the same settings only.
    series: dict[tuple[str, str, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        series[row["source"], row["generator"], row["settings"] if by_settings else "", row["seed"]].append(
            row
        )
    generators = sorted({row["generator"] for row in rows})
    styles = {group: index for index, group in enumerate(sorted({key[1:3] for key in series}))}
    labelled: set[str] = set()
    for (source, generator, settings, _), line in sorted(
        series.items(), key=lambda each: SOURCES.index(each[0][0])
    ):
        # Real images do not depend on a generator.
        if source == "real" and not by_settings and generator != generators[0]:
            continue
        parts = [source, "" if source == "real" or len(generators) == 1 else generator]
        parts.append(f"settings {settings[:8]}" if by_settings else "")
        label = ", ".join(part for part in parts if part)
        line.sort(key=lambda row: row["percent"])
        axes.errorbar(
            [row["percent"] for row in line],
            [100 * row["accuracy"] for row in line],
            [
                [100 * (row["accuracy"] - row["accuracy_low"]) for row in line],
                [100 * (row["accuracy_high"] - row["accuracy"]) for row in line],
            ],
            color=_COLOURS[source],
            linestyle=_STYLES[styles[generator, settings] % len(_STYLES)],
            marker="o",
            capsize=3,
            label=None if label in labelled else label,
        )
        labelled.add(label)
    axes.set_xlabel("percentage of the real training data, %")
    axes.set_ylabel("accuracy on real test images, %")
    axes.set_xticks(sorted({row["percent"] for row in rows}))
    axes.set_title(f"{dataset}: classifiers by their training images (95 % intervals)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def page(rows: Sequence[Row], dataset: str) -> str:
    """An HTML page, which needs no other file, with the report's own chart; its points explain themselves."""
    from labelmint import reporting
    from labelmint.reporting.figures import accuracy

    chart = accuracy(list(rows))
    style = (Path(reporting.__file__).parent / "page.css").read_text(encoding="utf-8")
    title = escape(f"{dataset}: accuracy against the fraction of real data, with 95 % intervals")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{style}"
        "main {max-width: 45rem} h1 {font-size: 1.1rem}</style>"
        f"<main><h1>{title}</h1>{chart.svg}{chart.legend}</main></html>"
    )
