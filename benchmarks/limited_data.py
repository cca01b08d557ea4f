"""What each remedy for little data brings, at equal steps: per-class DCGANs with and without it, on MNIST and Fashion-MNIST.

`python benchmarks/limited_data.py --out DIR [--steps 160] [--seeds 0]` writes DIR/limited_data.json after each arm and goes on where it
stopped; `--table` prints the results. The data sets' files are looked for in $LABELMINT_MIRROR or data/raw.

Every generator is seen by the same recipe: 1,000 images a class, a small CNN trained on them alone, the real test set; Fréchet
distance in the features of a CNN that was trained on all real images. One conditional generator takes as many steps as ten.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

from benchmarks.arms import Subject, measure_all, prepare, results
from stages.paths import Arm


def _dcgan(**changes: Any) -> dict[str, Any]:
    return {"families": {"dcgan": changes}}


def subjects_of(steps: int) -> dict[str, tuple[Any, ...]]:
    """title -> the family, and what is laid over `settings`, whose DCGAN has batch normalisation, EMA and translation."""
    as_many = {"training": {"images_per_epoch": 64 * steps * 10 // 4}}
    return {
        "plain: no EMA, no DiffAugment": ("dcgan", {"training": {"ema_half_life": 0, "translation": 0.0}}),
        "EMA alone": ("dcgan", {"training": {"translation": 0.0}}),
        "translation alone": ("dcgan", {"training": {"ema_half_life": 0}}),
        "EMA + translation (default)": ("dcgan", {}),
        "… + LeCam 0.1": ("dcgan", _dcgan(lecam=0.1)),
        "… spectral norm for BN in D": ("dcgan", _dcgan(discriminator={"batch_norm": False, "spectral_norm": True})),
        "… R1 0.1 for BN in D": ("dcgan", _dcgan(r1=0.1, discriminator={"batch_norm": False})),
        "relativistic + R1 + R2, no norm": ("r3gan", {}),
        "conditional: cgan, BN": ("cgan", as_many),
        "conditional: projection, hinge, SN": ("projection_cgan", as_many),
    }


def settings(dataset: str, steps: int) -> dict[str, Any]:
    rate = {"generator_optimizer": {"learning_rate": 1e-3}, "discriminator_optimizer": {"learning_rate": 1e-3}}
    widths = {"generator": {"dense_filters": 48, "filters": [24]}, "discriminator": {"filters": [24, 48]}}
    families = {name: {**rate, **widths} for name in ("dcgan", "cgan", "projection_cgan", "r3gan")}
    shape = {"rotation": 10.0, "shift": 0.08, "scale": 0.1, "shear": 0.1, "blur": 0.8, "contrast": 0.2, "noise": 0.1}
    return {
        "dataset": {"name": dataset, "image_size": 28},
        "families": families,
        "training": {"epochs": 4, "images_per_epoch": 64 * steps // 4, "ema_half_life": 5000, "translation": 0.11},
        "synthesis": {"images_per_class": 1000},
        "classifier": {
            "network": "small_cnn",
            "steps": 400,
            "evaluations": 2,
            "learning_rate": 2e-3,
            "augmentation": shape,
        },
        "feature_network": {"steps": 1000},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=160, help="of each class's generator")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--percents", type=int, nargs="+", default=[40, 10])
    parser.add_argument("--datasets", nargs="+", default=["mnist", "fashion_mnist"])
    parser.add_argument("--only", default="", help="subjects whose title holds this text")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path = arguments.out / "limited_data.json"
    if arguments.table:
        print(table(results(path)))
        return
    for seed, dataset, percent in itertools.product(arguments.seeds, arguments.datasets, arguments.percents):
        base = settings(dataset, arguments.steps)
        prepare(arguments.out / dataset, base, [Arm("real", percent, seed)])
        subjects = [
            Subject(f"{dataset} {percent} % seed {seed}: {title}", Arm(generator, percent, seed), (base, *changes))
            for title, (generator, *changes) in subjects_of(arguments.steps).items()
            if arguments.only in title
        ]
        measure_all(path, arguments.out / dataset, subjects, arguments.workers)


def table(results: dict[str, Any]) -> str:
    """Markdown: a row per subject."""
    lines = ["| data | generators | synthetic only, % [95 %] | Fréchet | precision | recall | labels right, % | real only, % | processor s |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, content in results.items():
        data, title = name.split(": ", 1)
        rows = {row["source"]: row for row in content["rows"]}
        made = rows["synthetic"]
        shown = f"{100 * made['accuracy']:.2f} [{100 * made['accuracy_low']:.2f}, {100 * made['accuracy_high']:.2f}]"
        cells = [data, title, shown, *(f"{made[key]:.3f}" for key in ("frechet_classifier", "precision", "recall"))]
        cells += [f"{100 * content['gan_test']['accuracy']:.1f}", f"{100 * rows['real']['accuracy']:.2f}", f"{content['processor_seconds']:.0f}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
