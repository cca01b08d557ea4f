"""What the page tells of one arm, kept small enough that forty of them fit on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labelmint.data.storage.tensors import load_set
from labelmint.reporting import figures, records, sheets
from labelmint.reporting.confusion import confusion
from labelmint.reporting.figures import thinned
from stages.paths import Arm, Paths

_PICTURES_BYTES = 2_200_000  # of the whole page; a third more as base64
_PER_CLASS = {"kid_per_class": "KID", "frechet_per_class": "Fréchet", "diversity_per_class": "diversity"}
_FEW, _SOME = 6, 12


@dataclass(frozen=True)
class Allowance:
    """What one of `arms` arms may take. pictures: bytes. classes: lines of its table. nearest: whether all of its pairs are shown."""

    pictures: int
    frames: int
    curve_points: int
    classes: int
    nearest: bool

    @classmethod
    def of(cls, arms: int) -> Allowance:
        frames, points, classes = (8, 40, 200) if arms <= _FEW else (5, 20, 60) if arms <= _SOME else (3, 10, 20)
        return cls(min(280_000, _PICTURES_BYTES // max(1, arms)), frames, points, classes, arms <= _SOME)

    def share(self, part: float) -> int:
        return int(part * self.pictures)


def section(layout: Paths, arm: Arm, metrics: dict[str, Any], allowed: Allowance) -> dict[str, Any]:
    """For arm.html.j2. metrics: of the arm, as `evaluate` wrote them."""
    folder, classes, rows = layout.generator(arm), metrics["classes"], metrics["rows"]
    minted, training = load_set(layout.synthetic(arm)), load_set(layout.tensors)
    size = minted[0].shape[2]
    table = records.history(folder / "training.csv")
    last = {row["class"]: row for row in table}  # rows are in order: of each class, its last attempt's last epoch
    table = [row for row in table if row["attempt"] == last[row["class"]]["attempt"]]
    kinds = [(space, kind) for space, kinds in metrics["nearest"].items() for kind in kinds]
    kinds = kinds if allowed.nearest else kinds[:1]
    confusions = [row for row in rows if row.get("confusion")]
    return {
        "arm": arm,
        "metrics": layout.metrics(arm),
        "facts": records.generator(folder / "architecture.json"),
        "rows": {row["source"]: row for row in rows},
        "unwell": [(name, row["health"]) for name, row in last.items() if row["health"] != "ok"],
        "restarts": [(name, int(row["attempt"])) for name, row in last.items() if row["attempt"]],
        "samples": sheets.side_by_side(training, minted, classes, allowed.share(0.3)),
        "frames": sheets.frames(folder / "samples", size, allowed.frames, allowed.share(0.4)),
        "training": figures.training(table, arm.generator, allowed.curve_points),
        "confusions": [
            confusion(row["source"], row["confusion"], classes, allowed.share(0.08)) for row in confusions[:3]
        ],
        "attributes": [(row["source"], row["attributes"]) for row in rows if row.get("attributes")],
        "per_class": per_class(metrics, allowed.classes),
        "nearest": [
            (space, kind, sheets.pairs(minted[0], training[0], metrics["nearest"][space][kind], allowed.share(0.1 / len(kinds))))
            for space, kind in kinds
        ],
        "fairness": metrics["fairness"],
        "fairness_chart": figures.fairness(metrics["fairness"]) if metrics["fairness"] else "",
        "representation": metrics["representation"],
        "latent_space": latent_section(layout, arm, metrics["latent_space"], size, allowed),
        "classes": classes,
        "kind": metrics["synthetic_labels"],
        "gan_test": metrics["gan_test"],
        "protocol": metrics["protocol"],
    }  # fmt: skip


def per_class(metrics: dict[str, Any], most: int) -> dict[str, Any]:
    """columns: (title, whether it is a share). lines: (class, values), all of them in order, or the `most` told worst.

    left_out: how many classes are not among them.
    """
    classes, rows = metrics["classes"], metrics["rows"]
    shares = {row["source"]: row["recalls"] for row in rows if row.get("recalls")}
    if metrics["gan_test"]:
        shares["GAN-test"] = metrics["gan_test"]["recalls"]
    others = {
        f"{title}, {row['source']}": row[name]
        for name, title in _PER_CLASS.items()
        for row in rows
        if any(value is not None for value in row.get(name) or [])
    }
    order = np.arange(len(classes))
    if len(classes) > most and shares:
        judge = shares.get("synthetic", next(iter(shares.values())))
        order = np.argsort([1.0 if value is None else value for value in judge], kind="stable")[:most]
    elif len(classes) > most:
        order = np.array(thinned(list(order), most))
    columns = {**shares, **others}
    return {
        "columns": [(title, title in shares) for title in columns],
        "lines": [(classes[at], [values[at] for values in columns.values()]) for at in order] if columns else [],
        "left_out": len(classes) - len(order),
    }


def latent_section(layout: Paths, arm: Arm, told: dict[str, Any], size: int, allowed: Allowance) -> dict[str, Any]:
    """Pictures with what their rows are, and each sum of concepts with what it reached."""
    names = [*told["rows"], *(f"arithmetic-{number}" for number in range(len(told["arithmetic"])))]
    most = allowed.share(0.2 / max(1, len(names)))

    def picture(name: str) -> sheets.Picture:
        return sheets.stored(layout.latent_space(arm) / f"{name}.png", size, most, told["rows"].get(name))

    return {
        "sheets": {name: picture(name) for name in told["rows"]},
        "sums": [(picture(f"arithmetic-{number}"), each) for number, each in enumerate(told["arithmetic"])],
        "absent": told["absent"],
    }
