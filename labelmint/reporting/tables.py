"""results.csv, results.md, summary.json."""

from __future__ import annotations

from typing import Any

from labelmint.classifiers.settings import REAL_SOURCES, SYNTHETIC_SOURCES

Row = dict[str, Any]

COLUMNS = (
    *("dataset", "generator", "percent", "seed", "source", "split", "n_real", "n_synthetic", "steps"),
    *("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall", "exact_match"),
    *("difference", "difference_low", "difference_high", "holdout_accuracy", "holdout_gap"),
    *("accuracy_linear", "accuracy_nearest_neighbour"),
    *("fid", "fid_infinity", "kid_inception", "inception_score"),
    *("kid", "frechet_classifier", "frechet_infinity", "frechet_intra_class"),
    *("precision", "recall", "density", "coverage", "diversity"),
    *("memorised", "memorised_pixels", "exact_copies", "authentic", "copying", "seconds"),
    *("n_frechet", "n_points", "n_memorised", "feature_network", "n_inception", "inception_network"),
)
_MEASURED = {
    **{"n_frechet": ("frechet_classifier", "n"), "n_points": ("kid", "n"), "n_memorised": ("memorised", "n")},
    **{"feature_network": ("kid", "network"), "n_inception": ("fid", "n"), "inception_network": ("fid", "network")},
}
"""Column -> a metric whose protocol it is of, and what of it: all of a kind have the same."""
_ORDER = (*REAL_SOURCES[:1], *SYNTHETIC_SOURCES[:2], *REAL_SOURCES[1:], *SYNTHETIC_SOURCES[2:])


def _place(source: str) -> tuple[int, int]:
    """The three of every run first, then what params may name, then numbers of images."""
    return (_ORDER.index(source), 0) if source in _ORDER else (len(_ORDER), int(source.split("_")[-1]))


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["generator"], row["seed"], row["percent"], _place(row["source"])))


def to_table(rows: list[Row]) -> list[Row]:
    """What results.csv holds: the COLUMNS in order, empty where there is no value."""
    return [{column: row.get(column) for column in COLUMNS} | _measured(row) for row in ordered(rows)]


def _measured(row: Row) -> Row:
    told = row.get("measured", {})
    return {column: told.get(metric, {}).get(part) for column, (metric, part) in _MEASURED.items()}


def interval(row: Row) -> str:
    if row["accuracy"] is None:
        return "no labels"
    return f"{100 * row['accuracy']:.2f} [{100 * row['accuracy_low']:.2f}, {100 * row['accuracy_high']:.2f}]"


def difference(row: Row) -> str:
    if row["accuracy"] is None or row["source"] == "real":
        return "–"
    half = (row["difference_high"] - row["difference_low"]) / 2
    return f"{100 * row['difference']:+.2f} ± {100 * half:.2f}"


def to_markdown(rows: list[Row]) -> str:
    """The headline numbers, for a README."""
    lines = [
        "| generator | real data | seed | trained on | images (real + minted) | accuracy %, 95 % interval | minus real, points | worst class | Fréchet |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ordered(rows):
        distance = row.get("frechet_classifier")
        cells = [
            "–" if row["source"] in REAL_SOURCES else row["generator"],
            f"{row['percent']} %",
            row["seed"],
            row["source"],
            f"{row['n_real']:,} + {row['n_synthetic']:,}",
            interval(row),
            difference(row),
            "–" if row["accuracy"] is None else f"{100 * row['worst_class_recall']:.1f} %",
            "–" if distance is None else f"{distance:.2f} (n = {row['measured']['frechet_classifier']['n']:,})",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def to_summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """{arm: {source: accuracy, ...}}: what `dvc metrics show` and `diff` print."""
    summary: dict[str, dict[str, float]] = {}
    for row in ordered(rows):
        arm = summary.setdefault(f"{row['generator']}-{row['percent']}-{row['seed']}", {})
        if row["accuracy"] is not None:
            arm[f"accuracy_{row['source']}"] = round(row["accuracy"], 6)
        if row["source"] == "synthetic":
            arm["frechet_synthetic"] = round(row["frechet_classifier"], 6)
    return summary
