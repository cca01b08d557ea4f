"""Does every family learn? Each trained for one small budget on MNIST, and faces for those of attributes.

`python benchmarks/families.py --out DIR [--steps 400] [--only TEXT]` writes DIR/families.json after each arm and goes on where it stopped;
`--table` prints the results. MNIST's files are looked for in $LABELMINT_MIRROR or data/raw.

The budget is steps of D, of 64 images: `--steps` for each generator of a class, ten times as many for one of all classes (five times for the fairness GAN). Every arm is
measured beside itself after one step, which is as good as untrained. Fréchet distance, precision and recall are in the features of a CNN trained on all
real images; "labels right" is the share of minted images that a classifier of the same real images gives their labels.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arms import Subject, measure_all, prepare, results
from stages.paths import Arm

_RATE = {"generator_optimizer": {"learning_rate": 1e-3}, "discriminator_optimizer": {"learning_rate": 1e-3}}
_PER_CLASS = {"generator": {"dense_filters": 48, "filters": [24]}, "discriminator": {"filters": [24, 48]}}
_OF_ALL = {"generator": {"dense_filters": 96, "filters": [48]}, "discriminator": {"filters": [48, 96]}}
_UNTRAINED = " after one step"


def _told(generator: str, discriminator: str, **more: Any) -> dict[str, Any]:
    """Networks of all classes with these conditions."""
    settings = copy.deepcopy(_OF_ALL)
    settings["generator"] |= {"condition": generator} | more.get("g", {})
    settings["discriminator"] |= {"condition": discriminator} | more.get("d", {})
    return settings


# title -> steps, in budgets of a class's generator; family; what is laid over the settings
DIGITS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "vanilla, perceptrons, per class": (1, "vanilla", {}),
    "vanilla, perceptrons, all classes, no labels": (10, "vanilla", {"labels": "none"}),
    "vanilla, perceptrons, all classes, no labels, ten times the steps": (100, "vanilla", {"labels": "none", "generator_optimizer": {"learning_rate": 2e-4}, "discriminator_optimizer": {"learning_rate": 2e-4}}),
    "vanilla, convolutions, per class": (1, "vanilla", {**_PER_CLASS, "generator": {"kind": "conv", "units": [], **_PER_CLASS["generator"]}, "discriminator": {"kind": "conv", "block_dropout": 0.0, **_PER_CLASS["discriminator"]}}),
    "dcgan, per class": (1, "dcgan", {**_RATE, **_PER_CLASS}),
    "dcgan, all classes, no labels": (10, "dcgan", {**_RATE, **_OF_ALL, "labels": "none"}),
    "wgan, per class": (1, "wgan", _PER_CLASS),
    "wgan, all classes, no labels": (10, "wgan", {**_OF_ALL, "labels": "none"}),
    "wgan_gp, per class": (1, "wgan_gp", {**_RATE, **_PER_CLASS, "generator_optimizer": {"learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.9}, "discriminator_optimizer": {"learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.9}}),
    "r3gan, per class": (1, "r3gan", {**_RATE, **_PER_CLASS}),
    "cgan, beside the latent and as maps": (10, "cgan", {**_RATE, **_told("concat", "channel")}),
    "cgan, as one channel each": (10, "cgan", {**_RATE, **_told("channel", "channel", g={"embedding": 10}, d={"embedding": 10})}),
    "cgan, trunk and merge": (10, "cgan", {**_RATE, **_told("concat", "merge", g={"embedding": 10}, d={"embedding": 10, "units": [64, 64]})}),
    "acgan": (10, "acgan", {**_RATE, **_told("concat", "auxiliary")}),
    "projection_cgan": (10, "projection_cgan", {**_RATE, **_told("batch_norm", "projection")}),
    "wgan_gp, conditional": (10, "wgan_gp", {**_RATE, "labels": "conditional", **_told("batch_norm", "projection")}),
    "r3gan, conditional": (10, "r3gan", {**_RATE, "labels": "conditional", **_told("concat", "projection")}),
}  # fmt: skip

_RESNET = {"generator": {"kind": "resnet", "units": [64], "dense_filters": 48, "filters": [32, 24, 16]}, "discriminator": {"kind": "resnet", "filters": [16, 24, 32]}}  # fmt: skip


def _fair(kind: str, generator: str, discriminator: str) -> tuple[str, dict[str, Any]]:
    networks = copy.deepcopy(_RESNET)
    networks["generator"]["condition"], networks["discriminator"]["condition"] = generator, discriminator
    return "fairness_gan", {"fairness": kind, **networks}


# The same, and the attributes.
FACES: dict[str, tuple[int, str, list[str], dict[str, Any]]] = {
    "attribute_cgan, branches": (10, "attribute_cgan", ["Black_Hair", "Male", "Oval_Face", "Smiling", "Young"], {
        **_RATE,
        "generator": {"dense_filters": 64, "filters": [64, 32], "kernels": [4, 4, 4], "strides": [2, 2, 2], "condition": "branch", "embedding": 32},
        "discriminator": {"filters": [32, 64, 96], "kernels": [4, 4, 4], "strides": [2, 2, 2], "condition": "channel"},
    }),
    "acgan, attributes": (10, "acgan", ["Black_Hair", "Male", "Oval_Face", "Smiling", "Young"], {
        **_RATE, "labels": "multi_hot",
        "generator": {"dense_filters": 64, "filters": [64, 32], "kernels": [4, 4, 4], "strides": [2, 2, 2], "condition": "concat"},
        "discriminator": {"filters": [32, 64, 96], "kernels": [4, 4, 4], "strides": [2, 2, 2], "condition": "auxiliary"},
    }),
}  # fmt: skip
# Residual blocks compute eight times as much per image, hence half the steps.
for title, times, *kind in (
    ("demographic parity, conditional BN and projection", 5, "demographic_parity", "batch_norm", "projection"),
    ("demographic parity, plain BN and concatenation", 5, "demographic_parity", "product", "channel"),
    ("demographic parity, conditional BN and projection, twice the steps", 10, "demographic_parity", "batch_norm", "projection"),
    ("equality of opportunity, conditional BN and projection", 5, "equality_of_opportunity", "batch_norm", "projection"),
    ("equality of opportunity, conditional BN and projection, twice the steps", 10, "equality_of_opportunity", "batch_norm", "projection"),
):  # fmt: skip
    family, changes = _fair(*kind)
    FACES[f"fairness_gan, {title}"] = (times, family, ["Male", "Attractive"], changes)

_MEASURES = {
    "classifier": {"network": "small_cnn", "steps": 400, "evaluations": 2, "learning_rate": 2e-3, "augmentation": {"rotation": 10.0, "shift": 0.08, "scale": 0.1, "shear": 0.1, "blur": 0.8, "contrast": 0.2, "noise": 0.1}},
    "feature_network": {"steps": 1000},
}  # fmt: skip


def of_digits(steps: int) -> tuple[dict[str, Any], list[Subject]]:
    base = {"dataset": {"name": "mnist", "image_size": 28}, "training": {"epochs": 8, "translation": 0.11}, "synthesis": {"images_per_class": 1000}, **_MEASURES}  # fmt: skip
    subjects = []
    for title, (times, family, changes) in DIGITS.items():
        subjects += _pair(title, family, base, changes, times * steps)
    return base, subjects


def of_faces(attributes: list[str], steps: int) -> tuple[dict[str, Any], list[Subject]]:
    data = {"name": "faces", "attributes": attributes, "image_size": 32, "channels": 3, "crop": "center", "mirror": "all"}  # fmt: skip
    fair = {"metrics": {"protected": "Male", "outcome": "Attractive"}} if "Attractive" in attributes else {}
    base = {"generators": [], "dataset": data, **fair, "training": {"epochs": 8, "translation": 0.0}, "synthesis": {"images_per_class": 1000}, **_MEASURES}  # fmt: skip
    subjects = []
    for title, (times, family, own, changes) in FACES.items():
        if own == attributes:
            subjects += _pair(title, family, base, changes, times * steps)
    return base, subjects


def _pair(title: str, family: str, base: dict[str, Any], changes: dict[str, Any], steps: int) -> list[Subject]:
    """A family trained, and as good as untrained."""
    training = {"training": {"images_per_epoch": 64 * steps // 8}}
    one_step = {"training": {"epochs": 1, "images_per_epoch": 1, "batch_size": 64, "restarts": 0}, "classifier": {"steps": 4}}  # fmt: skip
    arm, laid = Arm(family, 100, 0), (base, {"families": {family: changes}})
    return [Subject(title, arm, (*laid, training)), Subject(title + _UNTRAINED, arm, (*laid, training, one_step))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of D, for each generator of a class")
    parser.add_argument("--only", default="", help="subjects whose title holds this text")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path = arguments.out / "families.json"
    if arguments.table:
        print(table(results(path)))
        return
    sets = {"mnist": of_digits(arguments.steps)}
    sets |= {"faces_" + str(len(names)): of_faces(names, arguments.steps) for names in _attributes()}
    for name, (base, subjects) in sets.items():
        if chosen := [subject for subject in subjects if arguments.only in subject.name]:
            prepare(arguments.out / name, base, [Arm("real", 100, 0)])
            measure_all(path, arguments.out / name, chosen, arguments.workers)


def _attributes() -> list[list[str]]:
    kinds: list[list[str]] = []
    for _, _, names, _ in FACES.values():
        kinds += [names] if names not in kinds else []
    return kinds


def table(results: dict[str, Any]) -> str:
    """Markdown: a row per family."""
    lines = ["| family | Fréchet | after one step | ratio | precision | recall | labels right, % | synthetic only, % [95 %] | real only, % | processor s |", "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, content in results.items():
        before = results.get(name + _UNTRAINED)
        if before is None:
            continue
        rows, first = ({row["source"]: row for row in each["rows"]} for each in (content, before))
        made, distance = rows["synthetic"], first["synthetic"]["frechet_classifier"]
        right, accuracy = "–", "–"
        if content["gan_test"]:
            right = f"{100 * content['gan_test']['accuracy']:.1f}"
            accuracy = f"{100 * made['accuracy']:.2f} [{100 * made['accuracy_low']:.2f}, {100 * made['accuracy_high']:.2f}]"  # fmt: skip
            if "attributes" in made:
                right += " (least of an attribute " + f"{100 * min(content['gan_test']['recalls']):.1f})"
        cells = [name, f"{made['frechet_classifier']:.3f}", f"{distance:.1f}", f"{distance / made['frechet_classifier']:.0f}"]  # fmt: skip
        cells += [f"{made['precision']:.3f}", f"{made['recall']:.3f}", right, accuracy]
        cells += [f"{100 * rows['real']['accuracy']:.2f}", f"{content['processor_seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    for name, content in results.items():
        if (found := content.get("fairness")) and not name.endswith(_UNTRAINED):
            lines.append(f"\n{name}: " + "; ".join(_gaps(found)) + ".")
    return "\n".join(lines)


def _gaps(fairness: dict[str, Any]) -> Iterator[str]:
    """Of the labels of the data, and of what classifiers say of the test images, each with its 95 % interval."""
    for of, kinds in (
        ("labels", fairness["data"]),
        ("pictures", fairness["seen"]),
        ("classifier", fairness["classifiers"]),
    ):
        for source, gaps in kinds.items():
            for kind in ("demographic_parity", "equality_of_opportunity"):
                if gap := gaps.get(kind):
                    yield f"{kind.replace('_', ' ')} of the {source} {of} {gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"


if __name__ == "__main__":
    main()
