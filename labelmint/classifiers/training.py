"""Fit one classifier for each source with the same recipe, and write them to the arm's folder."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from labelmint.classifiers import archive
from labelmint.classifiers.fit import Fitted, Job, fit
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.sources import Source
from labelmint.data.storage.splits import derive_seed
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.process_pool import run_jobs
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths

_WEAK_LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Params:
    arm: Arm
    classifier: Classifier
    compute: Compute


def train(params: Params, stage: str, layout: Paths, sources: dict[str, Source], tracker: Tracker) -> None:
    """Of no source, empty lists are written."""
    arm, folder = params.arm, layout.classifiers(params.arm)
    facts = load_json(layout.tensors / "dataset.json")
    jobs = plan(params, layout, sources, facts)
    fitted: list[Fitted | None] = [None] * len(jobs)
    seconds: dict[str, Any] = {}
    started = time.perf_counter()
    with closing(run_jobs(fit, jobs, params.compute)) as results:
        for position, result in results:
            name = jobs[position].name
            fitted[position], seconds[name] = result, round(time.perf_counter() - started, 2)
            best = next(row for row in result.evaluations if row["step"] == result.best_step)
            say(
                f"{arm.name} {name}: {jobs[position].steps} steps, kept as of step {result.best_step}: {100 * best['holdout_accuracy']:.2f} % of {result.held_out} held-out images of its own"
            )
            for row in result.evaluations:
                tracker.log_metrics(
                    {f"{check}/{name}": row[check] for check in archive.EVALUATION_COLUMNS[2:]}, step=row["step"]
                )
    archive.save(folder, jobs, fitted)
    save_json(layout.timing(stage, arm), seconds)
    for path in sorted(folder.iterdir()):
        tracker.log_file(path)


def plan(params: Params, layout: Paths, sources: dict[str, Source], facts: dict[str, Any]) -> list[Job]:
    """facts: of the data set. A classifier of each source, and the weak check of each."""
    # One seed for every source of a replicate: they start from the same weights and differ in their data alone.
    seed, recipe = derive_seed(params.arm.seed, "classifier"), params.classifier
    linear = replace(recipe, network="linear", learning_rate=_WEAK_LEARNING_RATE, optimizer="adamw")
    jobs, evaluations = [], []
    for name, source in sources.items():
        own = replace(recipe, augmentation=source.augmentation or recipe.augmentation)
        job = Job(name, source.pools, len(facts["classes"]), own, seed, layout.raw, facts["mirror"], source.view)
        jobs.append(job)
        if "linear" in recipe.simple_classifiers and recipe.network != "linear":
            evaluations.append(replace(job, params=replace(linear, augmentation=own.augmentation), evaluations=name))
    return jobs + evaluations
