"""What choosing on the test images adds to an accuracy, as GaFi does (Lampis et al. 2023).

`python benchmarks/chosen_on_test.py --out DIR [--dataset fashion_mnist] [--percent 40] [--seed 0]` trains the
generators of one arm. For each deviation of the latents and each threshold of the filter it trains a
classifier of their images, which it tests several times in training, on validation and on test images.
DIR/chosen_on_test.json has all these accuracies, and `--table` prints what each protocol reports. Files of
the data set are taken from $LABELMINT_MIRROR or data/raw.

GaFi's code (sup3rgiu/GaFi-Pipeline) takes the deviation, the threshold and the epoch with the best accuracy
on the test set, and reports this accuracy, of real images too. It also chooses the generator's checkpoint and
how often images are renewed, which are fixed here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks.arms import Changes, facts, params_of, run_in_process, run_stage
from benchmarks.limited_data import settings
from labelmint.classifiers import archive as classifiers
from labelmint.classifiers import targets
from labelmint.classifiers.filtering import filtered
from labelmint.classifiers.fit import ClassifierLearner
from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.job import Job, predict
from labelmint.classifiers.pools import Images, Pool
from labelmint.classifiers.sampler import GeneratorSampler
from labelmint.classifiers.sources import SOURCES
from labelmint.classifiers.training import plan
from labelmint.data.storage.splits import derive_seed
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive
from labelmint.metrics.intervals import wilson
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.process_pool import in_processes
from pipeline.settings import schema
from pipeline.settings.schema import Params
from stages.paths import Arm, Paths

_CPU = torch.device("cpu")
_DEVIATIONS, _THRESHOLDS = (1.0, 1.2, 1.4), (0.0, 0.5, 0.9)


@dataclass(frozen=True)
class Subject:
    """A classifier's training images. threshold: of the baseline's confidence; 0 keeps every image."""

    source: str
    deviation: float = 1.0
    threshold: float = 0.0


SUBJECTS = [
    Subject("real"),
    *(Subject("synthetic", deviation, each) for deviation in _DEVIATIONS for each in _THRESHOLDS),
]


class _Observed(ClassifierLearner):
    """A classifier whose evaluations also test it on other images. tested: sets of images by name."""

    def __init__(self, job: Job, tested: dict[str, Images]):
        super().__init__(0, job, _CPU, bf16=False)
        self.tested = tested

    def end_step(self) -> None:
        super().end_step()
        if self.steps_done in self.marks:
            for name, (images, labels) in self.tested.items():
                decided = targets.decide(predict(self.network, images, _CPU), self.job.multi_hot)
                self.evaluations[-1][name] = targets.fraction_correct(decided, labels)
            self.network.train()


def measure(paths: Paths, arm: Arm, changes: Changes, subject: Subject) -> list[dict[str, Any]]:
    """Accuracies of one classifier at each of its evaluations, on held-out, validation and test images."""
    params, content = params_of((changes,)), load_json(paths.tensors / "dataset.json")
    source = SOURCES["synthetic_filtered" if subject.threshold else subject.source]
    inputs = _inputs(paths, arm, subject, params)
    job, *_ = plan(
        [source],
        inputs,
        params.classifier,
        classes=content["classes"],
        mirror=content["mirror"],
        raw=paths.raw,
    )
    learner = _Observed(
        job, {"validation": load_set(paths.validation_tensors), "test": load_set(paths.test_tensors)}
    )
    learner.build(resident=False)
    for _ in range(job.steps):
        learner.prepare()
        learner.step()
        learner.end_step()
    return [
        {
            "source": subject.source,
            "deviation": subject.deviation,
            "threshold": subject.threshold,
            "step": row["step"],
            "held_out": row["holdout_accuracy"],
            "validation": row["validation"],
            "test": row["test"],
        }
        for row in learner.evaluations
    ]


def _inputs(paths: Paths, arm: Arm, subject: Subject, params: Params) -> Inputs:
    """What the stage train_classifiers takes images from, with the subject's deviation and threshold."""
    sampler = GeneratorSampler(archive.load(paths.generator(arm)), subject.deviation)
    stored = sampler.sample(params.synthesis.images_per_class, derive_seed(arm.seed, "sampled"))
    confidence = partial(classifiers.confidence, paths.baseline(arm), "real", device=_CPU)
    recognized = partial(filtered, confidence=confidence, threshold=subject.threshold, seed=arm.seed)
    return Inputs(
        Pool.real(*load_set(paths.tensors), arm.percent, arm.seed),
        arm.seed,
        params.classifier.real_fraction,
        (Pool.synthetic(*stored), sampler),
        recognized,
    )


def reported(rows: Sequence[dict[str, Any]], chosen_on: str) -> dict[str, Any]:
    """The row whose test accuracy a protocol reports.

    chosen_on: "nothing" takes deviation 1 without a filter, and the evaluation with the best accuracy on
    held-out images of the same source; "validation" and "test" take the best of all rows on these images.
    """
    if chosen_on == "nothing":
        fixed = [row for row in rows if (row["deviation"], row["threshold"]) == (1.0, 0.0)]
        return max(fixed, key=lambda row: row["held_out"])
    return max(rows, key=lambda row: row[chosen_on])


_COLUMNS = ("chosen on", "real, %", "synthetic, %", "minus real, points", "deviation", "threshold", "step")


def table(rows: Sequence[dict[str, Any]], test_images: int) -> str:
    """A Markdown table with a row per protocol."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    sources = [[row for row in rows if row["source"] == source] for source in ("real", "synthetic")]
    for chosen_on in ("nothing", "validation", "test"):
        real, synthetic = (reported(own, chosen_on) for own in sources)
        cells = [chosen_on]
        for row in (real, synthetic):
            low, high = wilson(round(row["test"] * test_images), test_images)
            cells.append(f"{100 * row['test']:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
        cells.append(f"{100 * (synthetic['test'] - real['test']):+.2f}")
        cells += [f"{synthetic[name]:g}" for name in ("deviation", "threshold", "step")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--dataset", default="fashion_mnist", help="its name")
    parser.add_argument("--percent", type=int, default=40, help="of the real data")
    parser.add_argument("--seed", type=int, default=0, help="replicate")
    parser.add_argument("--gan-steps", type=int, default=400, help="steps of each class's generator")
    parser.add_argument(
        "--translation", type=float, default=0.0, help="DiffAugment's shifts of the generators"
    )
    parser.add_argument("--images", type=int, default=2400, help="synthetic images of each class")
    parser.add_argument("--steps", type=int, default=1200, help="steps of each classifier")
    parser.add_argument("--evaluations", type=int, default=6, help="evaluations of each classifier")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="classifiers at once")
    parser.add_argument("--table", action="store_true", help="print the results and run nothing")
    arguments = parser.parse_args()
    path = arguments.out / "chosen_on_test.json"
    if not arguments.table:
        paths, arm = Paths(arguments.out), Arm("dcgan", arguments.percent, arguments.seed)
        changes = settings(arguments.dataset, arguments.gan_steps, "validation")
        schema.overlay(
            changes,
            {
                "training": {"translation": arguments.translation},
                "synthesis": {"images_per_class": arguments.images},
                "classifier": {"steps": arguments.steps, "evaluations": arguments.evaluations},
                "compute": {"workers": arguments.workers},
            },
        )
        save_json(path, measure_all(paths, arm, changes, arguments.workers))
    content = load_json(path)
    print(table(content["rows"], content["test_images"]))


def measure_all(paths: Paths, arm: Arm, changes: Changes, workers: int) -> dict[str, Any]:
    """Run what is missing of the stages before the classifiers; then measure all subjects."""
    real = replace(arm, generator="real")
    for stage, of, out in (
        ("prepare", None, paths.tensors),
        ("train_baselines", real, paths.classifiers(real)),
        ("train_generators", arm, paths.generator(arm)),
    ):
        if not out.exists():
            run_in_process(run_stage, paths, stage, of, (changes,))
    work = partial(measure, paths, arm, changes)
    rows: list[dict[str, Any]] = []
    with closing(in_processes(work, SUBJECTS, workers, torch.set_num_threads, (1,))) as results:
        for position, found in results:
            rows += found
            accuracy = 100 * found[-1]["test"]
            print(f"{SUBJECTS[position]}: {accuracy:.2f} % of the test images in the last step", flush=True)
    test_images = len(load_set(paths.test_tensors)[1])
    return {**facts(), "arm": arm.name, "test_images": test_images, "rows": rows}


if __name__ == "__main__":
    main()
