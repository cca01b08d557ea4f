"""Stage `prepare`: convert the data set to tensors."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from labelmint.data import manifest
from labelmint.data.preparation import prepare
from labelmint.data.settings import Dataset
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths


@dataclass(frozen=True)
class Params:
    """Settings that the stage reads."""

    dataset: Dataset
    percents: list[int]
    seeds: list[int]
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write everything to a working folder, and move it to the other stages' inputs at the end."""
    work = paths.unfinished_tensors
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        prepared = prepare(params.dataset, paths.raw, work, params.compute)
        manifest.save(work / "facts", prepared, params.percents, params.seeds)
        _publish(work, paths)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    tracker.log_metrics(prepared.counts)
    say(prepared.summary())


def _publish(work: Path, paths: Paths) -> None:
    for name, target in (
        ("train", paths.tensors),
        ("validation", paths.validation_tensors),
        ("test", paths.test_tensors),
        ("facts", paths.tensors),
    ):
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted((work / name).iterdir()):
            os.replace(file, target / file.name)
