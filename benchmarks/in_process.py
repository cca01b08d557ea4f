"""Stages of the pipeline in this process, without DVC and with one worker, on files of a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labelmint.data.download import MIRROR
from labelmint.runtime.tracker import NullTracker
from pipeline.settings.schema import Params
from pipeline.stage import entry, select
from stages.paths import Arm, Paths


def run_stage(name: str, params: Params, paths: Paths, arm: Arm | None = None) -> float:
    """Run one stage. Returns: seconds."""
    started = time.perf_counter()
    module = entry(name)
    module.run(select(module.Params, params, arm), paths, NullTracker())
    return time.perf_counter() - started


def has_files(folder: Path | None, *patterns: str) -> bool:
    """Whether the folder has a file of one of these patterns. No file is downloaded during a measurement."""
    return folder is not None and any(any(folder.glob(pattern)) for pattern in patterns)


@contextmanager
def mirror(folder: Path | None) -> Iterator[None]:
    """Let `prepare` find files of data sets in `folder`."""
    before = os.environ.get(MIRROR)
    if folder is not None:
        os.environ[MIRROR] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(MIRROR, None)
        if before is not None:
            os.environ[MIRROR] = before
