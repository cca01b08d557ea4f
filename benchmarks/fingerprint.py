"""Do classifiers read the generator's fingerprint in place of the digit? Every measure of it, and generators of two classes as a control.

`python benchmarks/fingerprint.py --out DIR [--steps 160] [--dataset mnist] [--percent 40]` writes DIR/fingerprint.json after each arm and goes on
where it stopped; `--table` prints the results. The data set's files are looked for in $LABELMINT_MIRROR or data/raw.

Where every class has a generator of its own, each stamps its class with its artefacts. A classifier that reads the stamp is right on
held-out minted images and wrong on real ones: the gap. Residuals and background hold the stamp and little of the digit; blur, noise and
few levels of grey hide it; a generator that makes two classes stamps both alike, so that its stamp does not tell them apart.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import Subject, measure_all, prepare, results
from benchmarks.limited_data import settings
from labelmint.classifiers.views import VIEWS
from labelmint.data.storage.tensors import load_set, save_set
from labelmint.runtime.atomic_files import load_json, save_json
from stages.paths import Arm, Paths

PAIR = (3, 5)  # digits that are told apart by shape alone
SOURCES = ["real", "synthetic", "mixed", "real_unaugmented", "synthetic_unaugmented", "untrained", *(f"{origin}_{view}" for origin in ("real", "synthetic") for view in VIEWS)]  # fmt: skip


def subjects_of(steps: int, classes: int) -> dict[str, tuple[Any, ...]]:
    """title -> the family, and what is laid over the settings. One conditional generator takes as many steps as all of a class."""
    as_many = {"training": {"images_per_epoch": 64 * steps * classes // 4}}
    spectral = {"families": {"dcgan": {"discriminator": {"batch_norm": False, "spectral_norm": True}}}}
    return {
        "a generator per class, BN in D": ("dcgan", {}),
        "a generator per class, spectral norm in D": ("dcgan", spectral),
        "one conditional generator": ("cgan", as_many),
    }


def restrict(whole: Paths, pair: Paths, classes: tuple[int, ...]) -> None:
    """The tensors of some classes only, numbered anew."""
    facts = load_json(whole.tensors / "dataset.json")
    for folder, count in (("", "n_train"), ("test", "n_test")):
        images, labels = load_set(whole.tensors / folder)
        rows = np.flatnonzero(np.isin(labels, classes))
        save_set(pair.tensors / folder, images[rows], np.searchsorted(classes, labels[rows]))
        facts[count] = len(rows)
    for name in ("classes", "mirror"):
        facts[name] = [facts[name][label] for label in classes]
    save_json(pair.tensors / "dataset.json", facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=160, help="of each class's generator")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--percent", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="subjects whose title holds this text")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path = arguments.out / "fingerprint.json"
    if arguments.table:
        print(table(results(path)))
        return
    base = settings(arguments.dataset, arguments.steps)
    base["classifier"] |= {"sources": SOURCES}
    whole, pair = arguments.out / "whole", arguments.out / "pair"
    real = Arm("real", arguments.percent, arguments.seed)
    prepare(whole, base, [real])
    if not Paths(pair).tensors.exists():
        restrict(Paths(whole), Paths(pair), PAIR)
    prepare(pair, base, [real])
    for title, ground in (("all classes", whole), (f"classes {PAIR[0]} and {PAIR[1]}", pair)):
        classes = len(load_json(Paths(ground).tensors / "dataset.json")["classes"])
        subjects = [
            Subject(f"{title}: {name}", Arm(generator, arguments.percent, arguments.seed), (base, *changes))
            for name, (generator, *changes) in subjects_of(arguments.steps, classes).items()
            if arguments.only in f"{title}: {name}"
        ]
        measure_all(path, ground, subjects, arguments.workers)


def table(results: dict[str, Any]) -> str:
    """Markdown: a row per subject and source of the classifier."""
    lines = ["| data | generators | trained on | held-out, % | real, % | gap | least diverse class |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, content in results.items():
        data, title = name.split(": ", 1)
        rows = {row["source"]: row for row in content["rows"]}
        spread = [value for value in rows["synthetic"]["diversity_per_class"] if value is not None]
        for source, row in rows.items():
            cells = [data, title, source, *(f"{100 * row[key]:.2f}" for key in ("holdout_accuracy", "accuracy"))]
            cells += [f"{100 * row['holdout_gap']:+.2f}", f"{min(spread):.2f}" if source == "synthetic" else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
