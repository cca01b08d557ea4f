"""Does every family learn? Each trains for one small budget on MNIST, and on faces if it needs attributes.

`python benchmarks/families.py --out DIR [--steps 400] [--only TEXT]` writes DIR/families.json after each arm
and resumes from it; `--table` prints the results. MNIST's files are taken from $LABELMINT_MIRROR or data/raw.

The budget is steps of D on 64 images: `--steps` for a generator of one class, ten times as many for one of
all classes, five times for the fairness GAN. Every family is compared with itself after one step, which is
as good as untrained. Fréchet distance, precision and recall use the features of a CNN trained on all real
images; "labels right" is the fraction of synthetic images to which a classifier of the same real images gives
their labels.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arms import EVALUATION, Changes, Subject, measure_all, prepare, results
from benchmarks.family_cases import DIGITS, FACES, Case
from stages.paths import Arm

_ONE_STEP = " after one step"


def digit_subjects(steps: int) -> tuple[Changes, list[Subject]]:
    """Settings of MNIST, and the subjects that train on it."""
    base = {
        "dataset": {"name": "mnist", "image_size": 28},
        "training": {"epochs": 8, "translation": 0.11},
        **EVALUATION,
    }
    return base, [subject for title, case in DIGITS.items() for subject in _pair(title, case, base, steps)]


def face_subjects(attributes: tuple[str, ...], steps: int) -> tuple[Changes, list[Subject]]:
    """Settings of the faces with these attributes, and the subjects that train on them."""
    base = {
        "generators": [],
        "dataset": {
            "name": "faces",
            "attributes": list(attributes),
            "image_size": 32,
            "channels": 3,
            "crop": "center",
            "mirror": "all",
        },
        "training": {"epochs": 8, "translation": 0.0},
        **EVALUATION,
    }
    if "Attractive" in attributes:
        base["metrics"] = {"protected": "Male", "outcome": "Attractive"}
    cases = {title: case for title, case in FACES.items() if case.attributes == attributes}
    return base, [subject for title, case in cases.items() for subject in _pair(title, case, base, steps)]


def _pair(title: str, case: Case, base: Changes, steps: int) -> list[Subject]:
    """The trained family, and the same after one step."""
    training = {"training": {"images_per_epoch": 64 * case.budget * steps // 8}}
    one_step = {
        "training": {"epochs": 1, "images_per_epoch": 1, "batch_size": 64, "restarts": 0},
        "classifier": {"steps": 4},
    }
    arm, changes = Arm(case.family, 100, 0), (base, {"families": {case.family: case.changes}}, training)
    return [Subject(title, arm, changes), Subject(title + _ONE_STEP, arm, (*changes, one_step))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, default=400, help="steps of D for a generator of one class")
    parser.add_argument("--only", default="", help="run only the subjects whose title contains this text")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="arms at once")
    parser.add_argument("--table", action="store_true", help="print the results and run nothing")
    arguments = parser.parse_args()
    path = arguments.out / "families.json"
    if arguments.table:
        print(table(results(path)))
        return
    sets = {"mnist": digit_subjects(arguments.steps)}
    for attributes in dict.fromkeys(case.attributes for case in FACES.values()):
        sets[f"faces_{len(attributes)}"] = face_subjects(attributes, arguments.steps)
    for name, (base, subjects) in sets.items():
        if chosen := [subject for subject in subjects if arguments.only in subject.name]:
            prepare(arguments.out / name, base, [Arm("real", 100, 0)])
            measure_all(path, arguments.out / name, chosen, arguments.workers)


_COLUMNS = (
    "family",
    "Fréchet",
    "after one step",
    "ratio",
    "precision",
    "recall",
    "labels right, %",
    "synthetic only, % [95 %]",
    "real only, %",
    "processor s",
)


def table(results: dict[str, Any]) -> str:
    """A Markdown table with a row per family, then a line for each that has fairness gaps."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for name, content in results.items():
        if before := results.get(name + _ONE_STEP):
            lines.append("| " + " | ".join([name, *_cells(content, before)]) + " |")
    for name, content in results.items():
        if (fairness := content.get("fairness")) and not name.endswith(_ONE_STEP):
            lines.append(f"\n{name}: " + "; ".join(_gaps(fairness)) + ".")
    return "\n".join(lines)


def _cells(content: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """The columns of a family after its name. before: its results after one step."""
    rows, first = ({row["source"]: row for row in each["rows"]} for each in (content, before))
    row, distance = rows["synthetic"], first["synthetic"]["frechet_classifier"]
    yield f"{row['frechet_classifier']:.3f}"
    yield f"{distance:.1f}"
    yield f"{distance / row['frechet_classifier']:.0f}"
    yield f"{row['precision']:.3f}"
    yield f"{row['recall']:.3f}"
    if gan_test := content["gan_test"]:
        right = f"{100 * gan_test['accuracy']:.1f}"
        if "attributes" in row:
            right += f" (least of an attribute {100 * min(gan_test['recalls']):.1f})"
        yield right
        accuracy, low, high = (100 * row[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
        yield f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"
    else:
        yield from ("–", "–")
    yield f"{100 * rows['real']['accuracy']:.2f}"
    yield f"{content['processor_seconds']:.0f}"


def _gaps(fairness: dict[str, Any]) -> Iterator[str]:
    """Gaps of the data's labels, of its images and of the classifiers' predictions, with 95 % intervals."""
    subjects = {"labels": "data", "images": "seen", "classifier": "classifiers"}
    for title, key in subjects.items():
        for source, gaps in fairness[key].items():
            for kind in ("demographic_parity", "equality_of_opportunity"):
                if gap := gaps.get(kind):
                    interval = f"[{gap['low']:+.3f}, {gap['high']:+.3f}]"
                    yield f"{kind.replace('_', ' ')} of the {source} {title} {gap['value']:+.3f} {interval}"


if __name__ == "__main__":
    main()
