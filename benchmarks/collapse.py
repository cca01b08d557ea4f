"""How many of the DCGAN course report's generators collapse at 40 %, at the report's own width?

`python benchmarks/collapse.py --out DIR [--classes 8 9] [--seeds 0 1] [--percent 40]` trains a generator per
class by `experiments/mnist_report.yaml`, without restarts, and writes DIR/collapse.json after each seed; it
resumes from it, and `--table` prints it. MNIST's files are taken from $LABELMINT_MIRROR or data/raw. A
generator takes about half an hour on one core at 40 %.

Generators are those of the report; the classifiers, which tell only the chosen classes apart, are those of
benchmarks/limited_data.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arms import EVALUATION, ROOT, Changes, Subject, measure_all, prepare, results
from benchmarks.fingerprint import restrict
from labelmint.gans.settings import COLLAPSED_BELOW
from pipeline.settings import experiments
from stages.paths import Arm, Paths

_EXPERIMENT = "mnist_report"


def settings() -> Changes:
    """The report's data set, family and training. Distances of features are of no interest here."""
    changes = experiments.load(ROOT, _EXPERIMENT).changes
    chosen = {name: changes[name] for name in ("dataset", "families", "training")}
    return chosen | EVALUATION | {"feature_network": {"steps": 50}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--classes", type=int, nargs="+", default=[8, 9], help="at least two digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="replicates")
    parser.add_argument("--percent", type=int, default=40, help="of the real data")
    parser.add_argument("--epochs", type=int, help="instead of the report's")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="seeds at once")
    parser.add_argument("--table", action="store_true", help="print the results and run nothing")
    arguments = parser.parse_args()
    path = arguments.out / "collapse.json"
    if arguments.table:
        print(table(results(path)))
        return
    base, classes = settings(), tuple(sorted(arguments.classes))
    changes = {"training": {"epochs": arguments.epochs}} if arguments.epochs else {}
    whole, chosen = arguments.out / "whole", arguments.out / "-".join(map(str, classes))
    prepare(whole, base, [])
    if not Paths(chosen).tensors.exists():
        restrict(Paths(whole), Paths(chosen), classes)
    prepare(chosen, base, [Arm("real", arguments.percent, seed) for seed in arguments.seeds])
    subjects = [
        Subject(
            f"{chosen.name}, {arguments.percent} %, seed {seed}",
            Arm("dcgan", arguments.percent, seed),
            (base, changes),
        )
        for seed in arguments.seeds
    ]
    measure_all(path, chosen, subjects, arguments.workers)


_COLUMNS = (
    *("digits, fraction, seed", "digit", "diversity", "collapsed", "labels right, %"),
    *("recall from synthetic images, %", "recall from real images, %"),
)


def table(results: dict[str, Any]) -> str:
    """A Markdown table with a row per generator."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for name, content in results.items():
        rows = {row["source"]: row for row in content["rows"]}
        columns = (
            content["classes"],
            rows["synthetic"]["diversity_per_class"],
            content["gan_test"]["recalls"],
            rows["synthetic"]["recalls"],
            rows["real"]["recalls"],
        )
        for digit, diversity, *recalls in zip(*columns, strict=True):
            collapsed = "yes" if diversity < COLLAPSED_BELOW else "no"
            cells = [
                name,
                digit,
                f"{diversity:.2f}",
                collapsed,
                *(f"{100 * recall:.1f}" for recall in recalls),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
