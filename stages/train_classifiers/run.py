"""The stage: classifiers that saw one arm's minted images, alone and together with the real ones."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages.prepare.files import load_json, save_json
from stages.prepare.layout import Arm, Layout
from stages.prepare.params import Compute
from stages.prepare.splits import derive_seed, subset
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.train_classifiers import archive
from stages.train_classifiers.fit import Fitted, Job, Pool, fit
from stages.train_classifiers.params import Classifier
from stages.train_generators.engine import run_jobs


@dataclass(frozen=True)
class Params:
    arm: Arm
    classifier: Classifier
    compute: Compute


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    arm = params.arm
    if load_json(layout.synthetic(arm) / "manifest.json")["labels"] == "none":
        say(f"{arm.name}: the minted images bear no labels, so that no classifier can be trained on them")
        return train(params, "train_classifiers", layout, {}, tracker)
    real, synthetic = real_pool(layout, arm), Pool("synthetic", *load_set(layout.synthetic(arm)))
    share = params.classifier.real_share
    mixed = [replace(real, share=share), replace(synthetic, share=1 - share)]
    train(params, "train_classifiers", layout, {"synthetic": [synthetic], "mixed": mixed}, tracker)


def real_pool(layout: Layout, arm: Arm) -> Pool:
    """The real images that this arm's generator had."""
    images, labels = load_set(layout.tensors)
    chosen = subset(labels, arm.percent, arm.seed)
    return Pool("real", np.asarray(images[chosen]), labels[chosen])


def train(params: Params, stage: str, layout: Layout, sources: dict[str, list[Pool]], tracker: Tracker) -> None:
    """Fit one classifier per source with the same recipe, and write them to the arm's folder; of no source, empty lists."""
    arm, folder = params.arm, layout.classifiers(params.arm)
    facts = load_json(layout.tensors / "dataset.json")
    # One seed for every source of a replicate: they start from the same weights and differ in their data alone.
    seed = derive_seed(arm.seed, "classifier")
    jobs = [
        Job(source, pools, len(facts["classes"]), params.classifier, seed, layout.raw, facts["mirror"])
        for source, pools in sources.items()
    ]
    fitted: list[Fitted | None] = [None] * len(jobs)
    seconds: dict[str, Any] = {}
    started = time.perf_counter()
    with closing(run_jobs(fit, jobs, params.compute)) as results:
        for position, result in results:
            source = jobs[position].source
            fitted[position], seconds[source] = result, round(time.perf_counter() - started, 2)
            best = next(row for row in result.checks if row["step"] == result.best_step)
            say(
                f"{arm.name} {source}: {params.classifier.steps} steps, best on held-out {source} images at step {result.best_step} ({100 * best['holdout_accuracy']:.2f} %)"
            )
            for row in result.checks:
                tracker.log_metrics({f"{name}/{source}": row[name] for name in archive.CHECKS[2:]}, step=row["step"])
    archive.save(folder, jobs, fitted)
    save_json(layout.timing(stage, arm), seconds)
    for path in sorted(folder.iterdir()):
        tracker.log_file(path)
