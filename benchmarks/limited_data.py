"""What each remedy for little data brings, at equal steps, on MNIST and Fashion-MNIST.

`python benchmarks/limited_data.py --out DIR [--steps 160] [--seeds 0]` trains per-class DCGANs with and
without each remedy. It writes DIR/limited_data.json after each arm and resumes from it; `--table` prints the
results. The files of the data sets are taken from $LABELMINT_MIRROR or data/raw.

Everything is evaluated on a tenth of the training images, which is held out, so that a choice among the
remedies has not seen the test images; `--split test` evaluates on these.

Every generator is evaluated alike: 1,000 images per class, a small CNN trained on them alone and tested on
real images, and the Fréchet distance in the features of a CNN trained on all real images. One
conditional generator takes as many steps as ten per-class generators.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arms import EVALUATION, Changes, Subject, measure_all, prepare, results
from stages.paths import Arm

_VALIDATION_PERCENT = 10


def _dcgan(**changes: Any) -> Changes:
    return {"families": {"dcgan": changes}}


def subjects_of(steps: int) -> dict[str, tuple[str, Changes]]:
    """Family and overlay on `settings` by title.

    The DCGAN of `settings` has batch normalisation, EMA and translation.
    """
    as_many = {"training": {"images_per_epoch": 64 * steps * 10 // 4}}
    return {
        "plain: no EMA, no DiffAugment": ("dcgan", {"training": {"ema_half_life": 0, "translation": 0.0}}),
        "EMA alone": ("dcgan", {"training": {"translation": 0.0}}),
        "translation alone": ("dcgan", {"training": {"ema_half_life": 0}}),
        "EMA + translation (default)": ("dcgan", {}),
        "… + LeCam 0.1": ("dcgan", _dcgan(lecam=0.1)),
        "… latents x 1.3": ("dcgan", {"synthesis": {"latent_deviation": 1.3}}),
        "… two generators of each class, half of the steps each": (
            "dcgan",
            {"training": {"ensemble": 2, "images_per_epoch": 64 * steps // 4 // 2}},
        ),
        "… spectral norm for BN in D": (
            "dcgan",
            _dcgan(discriminator={"batch_norm": False, "spectral_norm": True}),
        ),
        "… R1 0.1 for BN in D": ("dcgan", _dcgan(r1=0.1, discriminator={"batch_norm": False})),
        "relativistic + R1 + R2, no norm": ("r3gan", {}),
        "conditional: cgan, BN": ("cgan", as_many),
        "conditional: projection, hinge, SN": ("projection_cgan", as_many),
    }


def settings(dataset: str, steps: int, split: str) -> Changes:
    """Overlay on the default settings for one data set. split: that everything is evaluated on."""
    optimizer = {"learning_rate": 1e-3}
    family = {
        "generator_optimizer": optimizer,
        "discriminator_optimizer": optimizer,
        "generator": {"dense_filters": 48, "filters": [24]},
        "discriminator": {"filters": [24, 48]},
    }
    return {
        "dataset": {
            "name": dataset,
            "image_size": 28,
            "validation_percent": _VALIDATION_PERCENT if split == "validation" else 0,
        },
        "metrics": {"split": split},
        "families": {name: family for name in ("dcgan", "cgan", "projection_cgan", "r3gan")},
        "training": {
            "epochs": 4,
            "images_per_epoch": 64 * steps // 4,
            "batch_size": 64,
            "ema_half_life": 5000,
            "translation": 0.11,
        },
        **copy.deepcopy(EVALUATION),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, default=160, help="steps of each class's generator")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="replicates")
    parser.add_argument("--percents", type=int, nargs="+", default=[40, 10], help="of the real data")
    parser.add_argument("--datasets", nargs="+", default=["mnist", "fashion_mnist"], help="names")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="run only the subjects whose title contains one of these texts",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="arms at once")
    parser.add_argument("--table", action="store_true", help="print the results and run nothing")
    arguments = parser.parse_args()
    path = arguments.out / "limited_data.json"
    if arguments.table:
        print(table(results(path)))
        return
    for seed, dataset, percent in itertools.product(arguments.seeds, arguments.datasets, arguments.percents):
        base = settings(dataset, arguments.steps, arguments.split)
        prepare(arguments.out / dataset, base, [Arm("real", percent, seed)])
        subjects = [
            Subject(
                f"{dataset} {percent} % seed {seed}: {title}", Arm(family, percent, seed), (base, changes)
            )
            for title, (family, changes) in subjects_of(arguments.steps).items()
            if any(text in title for text in arguments.only)
        ]
        measure_all(path, arguments.out / dataset, subjects, arguments.workers)


_COLUMNS = (
    "data",
    "generators",
    "synthetic only, % [95 %]",
    "Fréchet",
    "precision",
    "recall",
    "labels right, %",
    "real only, %",
    "processor s",
)


def table(results: dict[str, Any]) -> str:
    """A Markdown table with a row per subject."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for name, content in results.items():
        rows = {row["source"]: row for row in content["rows"]}
        row = rows["synthetic"]
        accuracy, low, high = (100 * row[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
        cells = [*name.split(": ", 1), f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"]
        cells += [f"{row[key]:.3f}" for key in ("frechet_classifier", "precision", "recall")]
        cells += [f"{100 * content['gan_test']['accuracy']:.1f}", f"{100 * rows['real']['accuracy']:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{content['processor_seconds']:.0f}"]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
