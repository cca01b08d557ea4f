"""results.csv, results.md, summary.json."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

COLUMNS = (
    *("dataset", "generator", "percent", "seed", "source", "n_real", "n_synthetic", "steps"),
    *("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall", "exact_match"),
    *("fid", "kid", "frechet_classifier", "precision", "recall", "density", "coverage", "memorised", "seconds"),
)
_SOURCES = ("real", "synthetic", "mixed")


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["generator"], row["seed"], row["percent"], _SOURCES.index(row["source"])))


def to_table(rows: list[Row]) -> list[Row]:
    """What results.csv holds: the COLUMNS in order, empty where there is no value."""
    return [{column: row.get(column) for column in COLUMNS} for row in ordered(rows)]


def interval(row: Row) -> str:
    if row["accuracy"] is None:
        return "no labels"
    return f"{100 * row['accuracy']:.2f} [{100 * row['accuracy_low']:.2f}, {100 * row['accuracy_high']:.2f}]"


def to_markdown(rows: list[Row]) -> str:
    """The headline numbers, for a README."""
    lines = [
        "| generator | real data | seed | trained on | images (real + minted) | accuracy %, 95 % interval | worst class | Fréchet |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ordered(rows):
        distance = row.get("frechet_classifier")
        cells = [
            row["generator"] if row["source"] != "real" else "–",
            f"{row['percent']} %",
            row["seed"],
            row["source"],
            f"{row['n_real']:,} + {row['n_synthetic']:,}",
            interval(row),
            "–" if row["accuracy"] is None else f"{100 * row['worst_class_recall']:.1f} %",
            "–" if distance is None else f"{distance:.2f}",
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


def verdict(rows: list[Row], n_test: int) -> list[str]:
    """What the numbers say, in sentences, one per generator, and what they cannot say."""
    sentences = []
    seeds = {row["seed"] for row in rows}
    for generator in sorted({row["generator"] for row in rows}):
        own = [row for row in rows if row["generator"] == generator]
        for percent in sorted({min(row["percent"] for row in own), max(row["percent"] for row in own)}):
            told = [row for row in own if row["percent"] == percent and row["accuracy"] is not None]
            mean = {
                source: sum(values) / len(values)
                for source in _SOURCES
                if (values := [100 * row["accuracy"] for row in told if row["source"] == source])
            }
            n_real = next(row["n_real"] for row in own if row["percent"] == percent and row["source"] == "real")
            if "synthetic" not in mean:
                distance = next(row["frechet_classifier"] for row in own if row["percent"] == percent and row["source"] == "synthetic")  # fmt: skip
                sentences.append(
                    f"With {percent} % of the real data ({n_real:,} images), the images minted by {generator} bear no labels, so that no classifier "
                    f"could be trained on them: only how like real images they are was measured (Fréchet distance {distance:.2f}). "
                    f"A classifier trained on the real images reaches {mean['real']:.1f} % on real test images."
                )
                continue
            sentences.append(
                f"With {percent} % of the real data ({n_real:,} images), a classifier trained only on images minted by {generator} "
                f"reaches {mean['synthetic']:.1f} % on real test images; one trained on the same real images reaches {mean['real']:.1f} %, "
                f"and on both together {mean['mixed']:.1f} %. {_cost(mean)}"
            )
    spread = "One replicate" if len(seeds) == 1 else f"{len(seeds)} replicates"
    sentences.append(
        f"{spread}: the intervals below cover the draw of the {n_test:,} test images"
        + (
            ", not the luck of a training run; add seeds to params.yaml to measure that."
            if len(seeds) == 1
            else "; the spread between seeds is the rest."
        )
    )
    return sentences


def _cost(mean: dict[str, float]) -> str:
    return f"Replacing the real images {_points(mean['synthetic'] - mean['real'])}; adding minted ones to them {_points(mean['mixed'] - mean['real'])}."


def _points(gain: float) -> str:
    if abs(gain) < 0.05:
        return "changes nothing"
    return f"{'gains' if gain > 0 else 'costs'} {abs(gain):.1f} points"
