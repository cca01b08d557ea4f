"""Do classifiers read the generator's fingerprint instead of the digit?

`python benchmarks/fingerprint.py --out DIR [--steps 160] [--dataset mnist] [--percent 40]` writes
DIR/fingerprint.json after each arm and resumes from it; `--table` prints the results. The files of the data
set are taken from $LABELMINT_MIRROR or data/raw.

Where every class has its own generator, each generator stamps its class with its artefacts. A classifier
that reads the stamp is right on held-out synthetic images and wrong on real ones: the gap. Residuals and
background contain the stamp and little of the digit; blur, noise and few levels of grey hide it. As a
control, one generator makes two classes, so that its stamp does not distinguish them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from benchmarks.arms import Changes, Subject, measure_all, prepare, results
from benchmarks.limited_data import settings
from labelmint.classifiers.views import VIEWS
from labelmint.data.storage.tensors import load_set, save_set
from labelmint.runtime.atomic_files import load_json, save_json
from stages.paths import Arm, Paths

PAIR = (3, 5)
"""Digits that only their shape distinguishes."""
SOURCES = [
    *("real", "synthetic", "mixed", "real_unaugmented", "synthetic_unaugmented", "untrained"),
    *(f"{origin}_{view}" for origin in ("real", "synthetic") for view in VIEWS),
]


def subjects_of(steps: int, classes: int) -> dict[str, tuple[str, Changes]]:
    """Family and overlay on the settings by title.

    One conditional generator takes as many steps as all per-class generators together.
    """
    as_many = {"training": {"images_per_epoch": 64 * steps * classes // 4}}
    spectral = {"families": {"dcgan": {"discriminator": {"batch_norm": False, "spectral_norm": True}}}}
    return {
        "a generator per class, BN in D": ("dcgan", {}),
        "a generator per class, spectral norm in D": ("dcgan", spectral),
        "one conditional generator": ("cgan", as_many),
    }


def restrict(whole: Paths, pair: Paths, classes: tuple[int, ...]) -> None:
    """Copy the tensors of `classes` only, and number the classes from 0."""
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, default=160, help="steps of each class's generator")
    parser.add_argument("--dataset", default="mnist", help="name")
    parser.add_argument("--percent", type=int, default=40, help="of the real data")
    parser.add_argument("--seed", type=int, default=0, help="replicate")
    parser.add_argument("--only", default="", help="run only the subjects whose title contains this text")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="arms at once")
    parser.add_argument("--table", action="store_true", help="print the results and run nothing")
    arguments = parser.parse_args()
    path = arguments.out / "fingerprint.json"
    if arguments.table:
        print(table(results(path)))
        return
    base = settings(arguments.dataset, arguments.steps, "test")
    base["classifier"] |= {"sources": SOURCES}
    whole, pair = arguments.out / "whole", arguments.out / "pair"
    real = Arm("real", arguments.percent, arguments.seed)
    prepare(whole, base, [real])
    if not Paths(pair).tensors.exists():
        restrict(Paths(whole), Paths(pair), PAIR)
    prepare(pair, base, [real])
    for title, prepared in (("all classes", whole), (f"classes {PAIR[0]} and {PAIR[1]}", pair)):
        classes = len(load_json(Paths(prepared).tensors / "dataset.json")["classes"])
        subjects = [
            Subject(f"{title}: {name}", Arm(family, arguments.percent, arguments.seed), (base, changes))
            for name, (family, changes) in subjects_of(arguments.steps, classes).items()
            if arguments.only in f"{title}: {name}"
        ]
        measure_all(path, prepared, subjects, arguments.workers)


_COLUMNS = ("data", "generators", "trained on", "held-out, %", "real, %", "gap", "least diverse class")


def table(results: dict[str, Any]) -> str:
    """A Markdown table with a row per subject and source of the classifier."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for name, content in results.items():
        rows = {row["source"]: row for row in content["rows"]}
        diversity = [value for value in rows["synthetic"]["diversity_per_class"] if value is not None]
        for source, row in rows.items():
            cells = [*name.split(": ", 1), source]
            cells += [f"{100 * row[key]:.2f}" for key in ("holdout_accuracy", "accuracy")]
            cells += [f"{100 * row['holdout_gap']:+.2f}"]
            cells += [f"{min(diversity):.2f}" if source == "synthetic" else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
