"""Section of the page on one arm, with a size limit, so that forty of them fit on a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.storage.tensors import load_set
from labelmint.metrics.inputs import LabelledImages
from labelmint.reporting import figures, records, sheets
from labelmint.reporting.confusion import confusion
from labelmint.reporting.curves import training_curves
from labelmint.reporting.figures import thinned

_TOTAL_PICTURE_BYTES = 2_200_000  # of the whole page; base64 adds a third
_PER_CLASS_METRICS = {
    "kid_per_class": "KID",
    "frechet_per_class": "Fréchet",
    "diversity_per_class": "diversity",
}
_FEW_ARMS, _SOME_ARMS = 6, 12
_MAX_CONFUSIONS = 3


@dataclass(frozen=True)
class ArmFiles:
    """An arm, and the files that its section shows."""

    generator: str
    percent: int
    seed: int
    metrics: Path
    generator_folder: Path
    synthetic_folder: Path
    latent_space_folder: Path

    @property
    def name(self) -> str:
        return f"{self.generator}-{self.percent}-{self.seed}"


@dataclass(frozen=True)
class Budget:
    """Limits of one arm's section.

    picture_bytes: of all its pictures together.
    frames: pictures of training.
    curve_points: of each training curve.
    classes: rows of its table by class.
    all_pairs: whether all pairs of nearest neighbours are shown.
    """

    picture_bytes: int
    frames: int
    curve_points: int
    classes: int
    all_pairs: bool

    @classmethod
    def of(cls, arms: int) -> Budget:
        """Limits for a page of `arms` arms."""
        frames, points, classes = (3, 10, 20)
        if arms <= _FEW_ARMS:
            frames, points, classes = (8, 40, 200)
        elif arms <= _SOME_ARMS:
            frames, points, classes = (5, 20, 60)
        picture_bytes = min(280_000, _TOTAL_PICTURE_BYTES // max(1, arms))
        return cls(picture_bytes, frames, points, classes, arms <= _SOME_ARMS)

    def bytes_for(self, fraction: float) -> int:
        """A fraction of the bytes for pictures."""
        return int(fraction * self.picture_bytes)


def section(
    files: ArmFiles, training: LabelledImages, metrics: dict[str, Any], budget: Budget
) -> dict[str, Any]:
    """Variables of arm.html.j2. training: the whole training set. metrics: content of files.metrics."""
    folder, classes, rows = files.generator_folder, metrics["classes"], metrics["rows"]
    synthetic = load_set(files.synthetic_folder)
    size = synthetic[0].shape[2]
    history = records.history(folder / "training.csv")
    # Rows are in order, so the last row of each class is the last epoch of its last attempt.
    last = {row["class"]: row for row in history}
    history = [row for row in history if row["attempt"] == last[row["class"]]["attempt"]]
    confusions = [row for row in rows if row.get("confusion")][:_MAX_CONFUSIONS]
    return {
        "arm": files,
        "metrics": files.metrics,
        "facts": records.generator(folder / "architecture.json"),
        "rows": {row["source"]: row for row in rows},
        "unhealthy": [(name, row["health"]) for name, row in last.items() if row["health"] != "ok"],
        "restarts": [(name, int(row["attempt"])) for name, row in last.items() if row["attempt"]],
        "samples": sheets.side_by_side(training, synthetic, classes, budget.bytes_for(0.3)),
        "frames": sheets.frames(folder / "samples", size, budget.frames, budget.bytes_for(0.4)),
        "training": training_curves(history, files.generator, budget.curve_points),
        "confusions": [
            confusion(row["source"], row["confusion"], classes, budget.bytes_for(0.08)) for row in confusions
        ],
        "attributes": [(row["source"], row["attributes"]) for row in rows if row.get("attributes")],
        "per_class": per_class(metrics, budget.classes),
        "nearest": _nearest(metrics["nearest"], synthetic[0], training[0], budget),
        "fairness": metrics["fairness"],
        "fairness_chart": figures.fairness(metrics["fairness"]) if metrics["fairness"] else "",
        "representation": metrics["representation"],
        "latent_space": _latent_space(files.latent_space_folder, metrics["latent_space"], size, budget),
        "classes": classes,
        "label_type": metrics["synthetic_labels"],
        "gan_test": metrics["gan_test"],
        "protocol": metrics["protocol"],
    }


def per_class(metrics: dict[str, Any], max_classes: int) -> dict[str, Any]:
    """Table of metrics by class.

    columns: (title, whether the values are fractions).
    lines: (class, values), at most `max_classes`: those with the lowest recall.
    omitted: number of the other classes.
    """
    classes, rows = metrics["classes"], metrics["rows"]
    recalls = {row["source"]: row["recalls"] for row in rows if row.get("recalls")}
    if metrics["gan_test"]:
        recalls["GAN-test"] = metrics["gan_test"]["recalls"]
    others = {
        f"{title}, {row['source']}": row[name]
        for name, title in _PER_CLASS_METRICS.items()
        for row in rows
        if any(value is not None for value in row.get(name) or [])
    }
    order = np.arange(len(classes))
    if len(classes) > max_classes and recalls:
        decisive = recalls.get("synthetic", next(iter(recalls.values())))
        lowest_first = np.argsort([1.0 if value is None else value for value in decisive], kind="stable")
        order = lowest_first[:max_classes]
    elif len(classes) > max_classes:
        order = np.array(thinned(list(order), max_classes))
    columns = {**recalls, **others}
    lines = [(classes[index], [values[index] for values in columns.values()]) for index in order]
    return {
        "columns": [(title, title in recalls) for title in columns],
        "lines": lines if columns else [],
        "omitted": len(classes) - len(order),
    }


def _nearest(
    nearest: dict[str, dict[str, Any]], synthetic: np.ndarray, training: np.ndarray, budget: Budget
) -> list[tuple[str, str, sheets.Picture]]:
    """(space, choice, picture) of the pairs of nearest neighbours. choice: closest or random."""
    found = [
        (space, choice, pairs) for space, choices in nearest.items() for choice, pairs in choices.items()
    ]
    shown = found if budget.all_pairs else found[:1]
    max_bytes = budget.bytes_for(0.1 / max(1, len(shown)))
    return [
        (space, choice, sheets.pairs(synthetic, training, pairs, max_bytes)) for space, choice, pairs in shown
    ]


def _latent_space(folder: Path, measured: dict[str, Any], size: int, budget: Budget) -> dict[str, Any]:
    """Pictures with the titles of their rows, and each sum of concepts with its result."""
    sums = [(f"arithmetic-{index}", each) for index, each in enumerate(measured["arithmetic"])]
    names = [*measured["rows"], *(name for name, _ in sums)]
    max_bytes = budget.bytes_for(0.2 / max(1, len(names)))
    pictures = {
        name: sheets.stored(folder / f"{name}.png", size, max_bytes, measured["rows"].get(name))
        for name in names
    }
    return {
        "sheets": {name: pictures[name] for name in measured["rows"]},
        "sums": [(pictures[name], each) for name, each in sums],
        "absent": measured["absent"],
    }
