"""results.csv, results.md and summary.json."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from labelmint.classifiers.sources import parse, position
from labelmint.metrics import registry
from labelmint.metrics.registry import Metric
from labelmint.reporting import replicates, worth
from labelmint.reporting.sanity import Doubt
from labelmint.runtime.atomic_files import parsing

Row = dict[str, Any]
"""One classifier or set of images: its arm, its source, and its metrics."""

_MEMORIZATION = ("memorised", "memorised_pixels", "exact_copies", "authentic", "authentic_test", "copying")
_MAIN_SOURCES = ("real", "synthetic", "mixed")
_HEADINGS = (
    *(
        "generator",
        "real data",
        "seed",
        "trained on",
        "images (real + synthetic)",
        "accuracy %, 95 % interval",
    ),
    *("difference from real, points", "worst class", "Fréchet distance"),
)
_MEAN_HEADINGS = (
    *("generator", "real data", "trained on", "seeds", "mean accuracy %, 95 % interval"),
    "mean difference from real, points",
)


def read_results(path: Path) -> list[Row]:
    """Rows of results.csv: numbers as int or float, None for an empty cell.

    Raises: InputError if the file is damaged, OSError if it cannot be read.
    """
    with parsing(path), path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    for number_type in (int, float):
        try:
            return number_type(text)
        except ValueError:
            continue
    return text or None


def ordered(rows: list[Row]) -> list[Row]:
    """Rows by generator, seed, percent and source."""
    return sorted(
        rows, key=lambda row: (row["generator"], row["seed"], row["percent"], position(row["source"]))
    )


def to_table(rows: list[Row]) -> list[Row]:
    """Rows of results.csv; None where there is no value."""
    protocol = registry.protocol_columns()
    return [
        {column: row.get(column) for column in columns()} | _protocol(row, protocol) for row in ordered(rows)
    ]


def columns() -> list[str]:
    """Columns of results.csv."""
    return [*registry.columns(), *worth.COLUMNS]


def _protocol(row: Row, columns: dict[str, tuple[str, str]]) -> Row:
    measured = row.get("measured", {})
    return {column: measured.get(metric, {}).get(key) for column, (metric, key) in columns.items()}


def to_markdown(rows: list[Row], doubts: Sequence[Doubt] = (), conclusions: Sequence[str] = ()) -> str:
    """The doubts and conclusions, then tables: means over the seeds if there are several, and all results."""
    paragraphs = [*(f"**Warning:** {doubt.text}" for doubt in doubts), *conclusions]
    if replicates.seeds(rows) > 1:
        paragraphs.append(_markdown(_MEAN_HEADINGS, map(_mean_cells, replicates.table(ordered(rows)))))
    return "\n\n".join([*paragraphs, _markdown(_HEADINGS, map(_markdown_cells, ordered(rows)))]) + "\n"


def _markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ("---",) * len(headings), *lines))


def _mean_cells(line: dict[str, Any]) -> tuple[str, ...]:
    accuracy, difference = line["accuracy"], line["difference"]
    is_real = parse(line["source"]).origin == "real"
    return (
        "–" if is_real else line["generator"],
        f"{line['percent']} %",
        line["source"],
        str(accuracy.seeds),
        f"{100 * accuracy.value:.2f} [{100 * accuracy.low:.2f}, {100 * accuracy.high:.2f}]",
        "–"
        if line["source"] == "real"
        else f"{100 * difference.value:+.2f} ± {100 * difference.half_width:.2f}",
    )


def _markdown_cells(row: Row) -> tuple[str, ...]:
    accuracy, difference, worst_class = "no labels", "–", "–"
    if row["accuracy"] is not None:
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        accuracy = f"{100 * row['accuracy']:.2f} [{low:.2f}, {high:.2f}]"
        worst_class = f"{100 * row['worst_class_recall']:.1f} %"
        if row["source"] != "real":
            half_width = (row["difference_high"] - row["difference_low"]) / 2
            difference = f"{100 * row['difference']:+.2f} ± {100 * half_width:.2f}"
    distance = row.get("frechet_classifier")
    return (
        "–" if parse(row["source"]).origin == "real" else row["generator"],
        f"{row['percent']} %",
        str(row["seed"]),
        row["source"],
        f"{row['n_real']:,} + {row['n_synthetic']:,}",
        accuracy,
        difference,
        worst_class,
        "–" if distance is None else f"{distance:.2f} (n = {row['measured']['frechet_classifier']['n']:,})",
    )


def to_summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """{<generator>-<percent>: {accuracy_<source>: value, ...}}, the metrics that DVC shows and compares.

    Means over the replicates, of the main sources only: a person compares these few numbers.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for row in ordered(rows):
        arm = values.setdefault(f"{row['generator']}-{row['percent']}", {})
        if row["accuracy"] is not None and row["source"] in _MAIN_SOURCES:
            arm.setdefault(f"accuracy_{row['source']}", []).append(row["accuracy"])
        if row["source"] == "synthetic":
            arm.setdefault("frechet_synthetic", []).append(row["frechet_classifier"])
    return {
        arm: {name: round(fmean(found), 6) for name, found in of_arm.items()}
        for arm, of_arm in values.items()
    }


def similarity_metrics(rows: list[Row]) -> list[Metric]:
    """Metrics of similarity between sets of images that any row has, in the order of results.csv."""
    names = [name for name in registry.image_metrics() if name not in _MEMORIZATION]
    return [
        registry.metrics()[name] for name in names if any(row.get(name) not in (None, "") for row in rows)
    ]
