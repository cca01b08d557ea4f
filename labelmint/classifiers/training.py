"""Train one classifier per image source with the same recipe."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from labelmint.classifiers import archive
from labelmint.classifiers.fit import fit, fit_together
from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.job import Fitted, Job
from labelmint.classifiers.settings import NO_AUGMENTATION, Classifier
from labelmint.classifiers.sources import Source
from labelmint.data.storage.splits import derive_seed
from labelmint.runtime.devices import arithmetic, pick_device, precision_in_force, resident_bytes
from labelmint.runtime.process_pool import run_jobs
from labelmint.runtime.progress import Progress, say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker

_SIMPLE_LEARNING_RATE = 2e-3


def plan(
    sources: Iterable[Source],
    inputs: Inputs,
    recipe: Classifier,
    *,
    classes: Sequence[str],
    mirror: list[bool],
    raw: Path,
) -> list[Job]:
    """A classifier of each source, then the simple classifiers of each.

    classes: names of the classes or attributes. mirror: for each, whether its images may be flipped. raw:
    folder of downloaded weights.
    """
    # One seed for every source of a replicate: they start from the same weights and differ only in their
    # data.
    seed = derive_seed(inputs.seed, "classifier")
    linear = replace(recipe, network="linear", learning_rate=_SIMPLE_LEARNING_RATE, optimizer="adamw")
    jobs, simple = [], []
    for source in sources:
        own = recipe
        if source.augmentation is not None:
            own = replace(recipe, augmentation=replace(NO_AUGMENTATION, **source.augmentation))
        pools = source.pools(inputs)
        job = Job(source.name, pools, len(classes), own, seed, raw, mirror, source.view)
        jobs.append(replace(job, teacher=inputs.baseline) if source.distilled else job)
        if "linear" in recipe.simple_classifiers and recipe.network != "linear":
            simple.append(replace(job, params=replace(linear, augmentation=own.augmentation), simple=True))
    return jobs + simple


def train(
    jobs: Sequence[Job], folder: Path, label: str, compute: Compute, tracker: Tracker
) -> dict[str, float]:
    """Train all jobs and write them to `folder`; without jobs, empty lists. label: for messages.

    Returns: seconds from the start until each classifier was finished, by its name.
    """
    fitted: dict[int, Fitted] = {}
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    steps = sum(job.steps for job in jobs)
    with Progress(label, steps, "steps") as progress, closing(_fit_all(jobs, compute, progress)) as results:
        for position, result in results:
            job = jobs[position]
            fitted[position], seconds[job.name] = result, round(time.perf_counter() - started, 2)
            _report(job, result, label, tracker)
    archive.save(folder, jobs, [fitted[position] for position in range(len(jobs))])
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        tracker.log_file(path)
    return seconds


def _fit_all(
    jobs: Sequence[Job], compute: Compute, progress: Progress
) -> Generator[tuple[int, Fitted], None, None]:
    """Yield (position, result) of each job: together on a GPU, in processes on a CPU."""
    device = pick_device(compute)
    if device.type == "cpu":
        yield from run_jobs(fit, jobs, compute, progress)
        return
    bf16 = precision_in_force(compute, device) == "bf16"
    with arithmetic(compute, device):
        resident = resident_bytes(compute, device)
        yield from fit_together(jobs, device, progress.add, bf16=bf16, resident_bytes=resident)


def _report(job: Job, result: Fitted, label: str, tracker: Tracker) -> None:
    accuracy = 100 * result.best["holdout_accuracy"]
    say(
        f"{label} {job.name}: weights of step {result.best_step} of {job.steps}, "
        f"{accuracy:.2f} % of {result.held_out} held-out images"
    )
    for row in result.evaluations:
        metrics = {f"{column}/{job.name}": row[column] for column in archive.EVALUATION_COLUMNS[2:]}
        tracker.log_metrics(metrics, step=row["step"])
