"""Speed by number of replicas, workers and size of images; memory of a replica; start-up of the stage."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from statistics import median

from benchmarks.cases import ROOT, Row, cases, replicas, seconds, wide
from benchmarks.engine_parts.script import train


def scaling() -> list[Row]:
    """A row per measurement."""
    rows: list[Row] = []
    small, training, shape, _ = cases()["digits, 16 px"]
    for count in (1, 10, 40):
        group, images = replicas(small, training, shape, steps=30, count=count)
        for workers in (1, 2):
            rate = count * 30 * training.batch_size / seconds(partial(train, group, images, workers))
            rows.append({"what": f"{count} replicas of 16 px, {workers} workers", "images_per_second": rate})
    for size in (32, 64, 128):
        small_batch = replace(training, batch_size=32)
        group, images = replicas(wide(size, 4), small_batch, (3, size, size), steps=4, count=2)
        rate = 2 * 4 * 32 / seconds(partial(train, group, images, 2))
        rows.append({"what": f"2 replicas of {size} px, batch 32, 2 workers", "images_per_second": rate})
    for size in (16, 32, 64, 128):
        what = f"memory of one replica of {size} px above the imports, MB"
        rows.append({"what": what, "megabytes": _memory(size)})
    what = "start of the stage: imports, checks, digest, before the first step, s"
    rows.append({"what": what, "seconds": _start_up_seconds()})
    return rows


_MEMORY = """
import sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
import torch
from benchmarks.cases import cases, replicas, wide
from labelmint.training import trainer

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

size = int(sys.argv[2])
torch.set_num_threads(1)
family, training, shape, _ = cases()["digits, 16 px"]
if size != 16:
    family, training, shape = wide(size, 4), replace(training, batch_size=32), (3, size, size)
group, images = replicas(family, training, shape, steps=3, count=1)
before = peak()
list(trainer.train(group, images))
print(peak() - before)
"""

_START_UP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pipeline.stage, stages.train_generators
from pipeline.settings import schema
schema.load(Path(sys.argv[1]) / "params.yaml")
"""


def _memory(size: int) -> float:
    """Megabytes that training one replica adds to the peak of a process."""
    command = [sys.executable, "-c", _MEMORY, str(ROOT), str(size)]
    return float(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)


def _start_up_seconds() -> float:
    command = [sys.executable, "-c", _START_UP, str(ROOT)]
    return median(seconds(partial(subprocess.run, command, check=True)) for _ in range(3))
