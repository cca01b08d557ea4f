"""Run arms with the pipeline's own stages, without DVC, in folders of the benchmark, several at once."""

from __future__ import annotations

import copy
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import in_process
from labelmint.runtime.atomic_files import load_json, save_json
from pipeline.settings import schema
from pipeline.settings.schema import Params
from stages.paths import Arm, Paths

ROOT = Path(__file__).parent.parent

Changes = dict[str, Any]
"""An overlay on settings."""

_AUGMENTATION = {
    "rotation": 10.0,
    "shift": 0.08,
    "scale": 0.1,
    "shear": 0.1,
    "blur": 0.8,
    "contrast": 0.2,
    "noise": 0.1,
}
EVALUATION: Changes = {
    "synthesis": {"images_per_class": 1000},
    "classifier": {
        "network": "small_cnn",
        "steps": 400,
        "evaluations": 2,
        "learning_rate": 2e-3,
        "augmentation": _AUGMENTATION,
    },
    "feature_network": {"steps": 1000},
}
"""How the benchmarks evaluate every generator."""
_COMPUTE: Changes = {"compute": {"workers": 1, "device": "cpu", "portable": False}}
"""One process of one thread: arms run side by side, and a fork is unsafe beside this process's threads.

The limits of `portable` would have to be set before this process imports torch.
"""


@dataclass(frozen=True)
class Subject:
    """One arm to measure. changes: overlays on experiments/default.yaml, applied in order."""

    name: str
    arm: Arm
    changes: tuple[Changes, ...]


def params_of(changes: Iterable[Changes]) -> Params:
    """The default settings with all overlays, which may change `compute` too."""
    content = schema.read(ROOT / "experiments" / "default.yaml")
    for change in (_COMPUTE, *changes):
        schema.overlay(content, copy.deepcopy(change))
    return schema.check(content, "a benchmark")


def run_stage(paths: Paths, stage: str, arm: Arm | None, changes: Iterable[Changes]) -> None:
    in_process.run_stage(stage, params_of(changes), paths, arm)


def prepare(folder: Path, changes: Changes, baselines: list[Arm]) -> None:
    """Create in `folder` what is missing of a data set, feature network and classifiers of baselines."""
    paths = Paths(folder)
    for stage, out in (("prepare", paths.tensors), ("train_feature_network", paths.feature_network)):
        if not out.exists():
            run_in_process(run_stage, paths, stage, None, (changes,))
    for arm in baselines:
        if not paths.classifiers(arm).exists():
            run_in_process(run_stage, paths, "train_baselines", arm, (changes,))


def measure(prepared: Path, folder: Path, subject: Subject) -> dict[str, Any]:
    """Run all stages of one arm in `folder`, on the data set in `prepared`.

    Returns: the content of data/metrics/<arm>.json, and the processor seconds of training.
    """
    torch.set_num_threads(1)
    paths, source, arm = Paths(folder), Paths(prepared), subject.arm
    shutil.rmtree(folder, ignore_errors=True)
    for link, target in (
        (paths.tensors, source.tensors),
        (paths.feature_network, source.feature_network),
        (paths.baseline(arm), source.baseline(arm)),
    ):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.resolve())
    before = os.times()
    run_stage(paths, "train_generators", arm, subject.changes)
    after = os.times()
    for stage in ("synthesize", "train_classifiers", "evaluate"):
        run_stage(paths, stage, arm, subject.changes)
    spent = after.user + after.system - before.user - before.system
    return {**load_json(paths.metrics(arm)), "processor_seconds": round(spent, 1)}


def measure_all(path: Path, prepared: Path, subjects: list[Subject], workers: int) -> None:
    """Measure the subjects that the JSON file at `path` lacks; keep each arm's sheet of samples beside it."""
    missing = [subject for subject in subjects if subject.name not in results(path)]
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=1) as pool:
        jobs = [(prepared, path.parent / "arms" / slug(subject.name), subject) for subject in missing]
        for subject, content, seconds in pool.imap_unordered(_measure, jobs):
            save_json(path, {**facts(), "results": results(path) | {subject.name: content}})
            print(f"{subject.name}: {seconds:.0f} s", flush=True)


def _measure(job: tuple[Path, Path, Subject]) -> tuple[Subject, dict[str, Any], float]:
    prepared, folder, subject = job
    started = time.monotonic()
    content = measure(prepared, folder, subject)
    sheet = folder.parent.parent / "samples" / f"{folder.name}.png"
    sheet.parent.mkdir(exist_ok=True)
    shutil.copy(Paths(folder).synthetic(subject.arm) / "samples.png", sheet)
    shutil.rmtree(folder)
    return subject, content, time.monotonic() - started


def facts() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
    }


def results(path: Path) -> dict[str, Any]:
    """Results by subject; none if there is no file."""
    found: dict[str, Any] = load_json(path)["results"] if path.exists() else {}
    return found


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def run_in_process(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a process of its own. Ends this one too if it fails."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
