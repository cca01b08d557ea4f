"""Generators of several classes on a CPU: worker processes of one thread each against one process with all threads.

`python benchmarks/replicas.py` trains four digits of the default experiment for one epoch, both ways in turn, and prints the ratio.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline import params as settings
from stages.prepare.convert import convert
from stages.prepare.params import Compute
from stages.prepare.sources import digits
from stages.train_generators.engine import run_jobs, threads
from stages.train_generators.trainer import Replica, train_replica

_ROUNDS = 3
_CLASSES = 4


def main() -> None:
    root = Path(__file__).parent.parent
    params = settings.load(root / "experiments" / "default.yaml")
    with tempfile.TemporaryDirectory() as folder:
        source = digits.read(params.dataset, Path(folder), Path(folder))
        target = Path(folder) / "images.npy"
        convert(source, np.arange(len(source.labels)), params.dataset, target, Compute("cpu", 1))
        images = np.load(target)
    training = replace(params.training, epochs=1)
    replicas = [
        Replica(str(label), "dcgan", params.families["dcgan"], training, images[source.labels == label], label)
        for label in range(_CLASSES)
    ]
    cores = os.cpu_count() or 1

    def together() -> None:
        list(run_jobs(train_replica, replicas, Compute("cpu", cores)))

    def one_process() -> None:
        with threads(cores):
            for replica in replicas:
                train_replica(replica, torch.device("cpu"))

    def seconds(work) -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    with threads(1):  # what torch imports when the first optimizer is built, 3 s, would be paid by one way only
        train_replica(replace(replicas[0], training=replace(training, images_per_epoch=64)), torch.device("cpu"))
    # Workers first: forking after a parallel region of the parent is not safe with every OpenMP runtime.
    apart = [seconds(together) for _ in range(_ROUNDS)]
    alone = [seconds(one_process) for _ in range(_ROUNDS)]
    print(
        f"torch {torch.__version__}, {cores} cores, {_CLASSES} classes x {training.images_per_epoch} images, median of {_ROUNDS}"
    )
    print(
        f"{cores} workers of one thread {median(apart):.1f} s   one process of {cores} threads {median(alone):.1f} s   ratio {median(alone) / median(apart):.2f}"
    )


if __name__ == "__main__":
    main()
