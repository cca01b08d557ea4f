"""Images per second of the engine and of the ordinary script, on all cores."""

from __future__ import annotations

from functools import partial
from statistics import median

import torch

from benchmarks import naive
from benchmarks.cases import CPU, Row, cases, replicas, seconds
from labelmint.runtime.devices import available_cores
from labelmint.runtime.settings import Compute
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.strategies import train_arm

CORES = available_cores()
CLASSES = 10
ROUNDS = 3


def train(replicas: list[Replica], images: ArrayImages, workers: int) -> None:
    """Train with the engine in `workers` processes."""
    for _ in train_arm("benchmark", replicas, images, Compute("cpu", workers)):
        pass


def train_naively(replicas: list[Replica], images: ArrayImages, steps: int) -> None:
    """Train with the ordinary script, one class after another on all cores."""
    torch.set_num_threads(CORES)
    for one in replicas:
        naive.train_class(one.family, images.take(one.rows), steps, one.training.batch_size, CPU)


def against_script() -> list[Row]:
    """A row per case; both sides are timed in turn."""
    rows = []
    for name, (family, training, shape, steps) in cases().items():
        classes, images = replicas(family, training, shape, steps=steps, count=CLASSES)
        total = CLASSES * steps * training.batch_size
        ours = partial(train, classes, images, CORES)
        script = partial(train_naively, classes, images, steps)
        train_naively(classes[:1], images, 2)  # torch imports modules on first use
        times = [(seconds(ours), seconds(script)) for _ in range(ROUNDS)]
        rows.append(
            {
                "networks": name,
                "batch": training.batch_size,
                "ours_images_per_second": total / median(one for one, _ in times),
                "naive_images_per_second": total / median(two for _, two in times),
                "ratio": median(two / one for one, two in times),
            }
        )
    return rows
