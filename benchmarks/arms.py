"""Arms run by the pipeline's own stages, without DVC, in folders of the benchmark's own, several at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths

ROOT = Path(__file__).parent.parent
SHARED = ("tensors", "feature_network")


@dataclass(frozen=True)
class Subject:
    """One arm to measure. changes: laid over experiments/default.yaml in turn."""

    name: str
    arm: Arm
    changes: tuple[dict[str, Any], ...]


def run_stage(layout: Paths, stage: str, arm: Arm | None, changes: Iterable[dict[str, Any]]) -> None:
    content = settings.read(ROOT / "experiments" / "default.yaml")
    # One process and one thread each: arms run side by side, and a fork would not get on with this process's threads.
    for each in (*changes, {"compute": {"workers": 1, "device": "cpu"}}):
        settings.overlay(content, json.loads(json.dumps(each)))
    module = entry(stage)
    module.run(select(module.Params, settings.check(content, stage), arm), layout, NullTracker())


def prepare(folder: Path, changes: dict[str, Any], baselines: list[Arm]) -> None:
    """A data set in `folder` with its frozen feature network and the classifiers that had real images."""
    layout = Paths(folder)
    for stage, made in (("prepare", layout.tensors), ("train_feature_network", layout.feature_network)):
        if not made.exists():
            _child(run_stage, layout, stage, None, (changes,))
    for arm in baselines:
        if not layout.classifiers(arm).exists():
            _child(run_stage, layout, "train_baselines", arm, (changes,))


def measure(ground: Path, folder: Path, subject: Subject) -> dict[str, Any]:
    """Train, mint, classify and evaluate one arm in `folder`, on the data set in `ground`.

    Returns: what data/metrics/<arm>.json holds, and the processor seconds of training.
    """
    torch.set_num_threads(1)
    layout, arm = Paths(folder), subject.arm
    shutil.rmtree(folder, ignore_errors=True)
    for own, other in ((layout.tensors, Paths(ground).tensors), (layout.feature_network, Paths(ground).feature_network), (layout.baseline(arm), Paths(ground).baseline(arm))):  # fmt: skip
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(other.resolve())
    before = os.times()
    run_stage(layout, "train_generators", arm, subject.changes)
    after = os.times()
    for stage in ("synthesize", "train_classifiers", "evaluate"):
        run_stage(layout, stage, arm, subject.changes)
    spent = after.user + after.system - before.user - before.system
    return {**load_json(layout.metrics(arm)), "processor_seconds": round(spent, 1)}


def measure_all(path: Path, ground: Path, subjects: list[Subject], workers: int) -> None:
    """Measure what the JSON file at `path` does not hold yet, and keep each arm's sheet of samples beside it."""
    todo = [subject for subject in subjects if subject.name not in results(path)]
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=1) as pool:
        jobs = [(ground, path.parent / "arms" / slug(subject.name), subject) for subject in todo]
        for subject, content, seconds in pool.imap_unordered(_measure, jobs):
            save_json(path, {**facts(), "results": results(path) | {subject.name: content}})
            print(f"{subject.name}: {seconds:.0f} s", flush=True)


def _measure(job: tuple[Path, Path, Subject]) -> tuple[Subject, dict[str, Any], float]:
    ground, folder, subject = job
    began = time.monotonic()
    content = measure(ground, folder, subject)
    kept = folder.parent.parent / "samples" / f"{folder.name}.png"
    kept.parent.mkdir(exist_ok=True)
    shutil.copy(Paths(folder).synthetic(subject.arm) / "samples.png", kept)
    shutil.rmtree(folder)
    return subject, content, time.monotonic() - began


def facts() -> dict[str, Any]:
    return {"date": time.strftime("%Y-%m-%d"), "torch": torch.__version__, "command": " ".join(["python", *sys.argv])}


def results(path: Path) -> dict[str, Any]:
    return load_json(path)["results"] if path.exists() else {}


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _child(function: Any, *arguments: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
