"""Networks, settings and random images that several benchmarks train on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.parts import Shape
from labelmint.gans.settings import Family
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training

if TYPE_CHECKING:
    from pipeline.settings.schema import Params

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")

Row = dict[str, Any]
Case = tuple[Family, Training, Shape, int]
"""Family, training, shape of the images, and steps per class."""


def seconds(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def experiment(name: str, *, quick: bool = False) -> Params:
    """Settings of an experiment."""
    from pipeline.settings import experiments, schema

    text = experiments.rendered(ROOT, experiments.Choice((name,), quick=quick))
    return schema.check(schema.parse(text), name)


def cases() -> dict[str, Case]:
    """Per-class DCGANs of the experiments by name, at sizes for a CPU."""
    from pipeline.settings import schema

    digits = schema.load(ROOT / "experiments" / "default.yaml")
    mnist = experiment("mnist_quick")
    large_batch = replace(digits.training, batch_size=128)
    return {
        "digits, 16 px": (digits.families["dcgan"], digits.training, (1, 16, 16), 112),
        "MNIST (mnist_quick), 28 px": (mnist.families["dcgan"], mnist.training, (1, 28, 28), 40),
        "32 px, half of Radford's widths": (wide(32, 2), large_batch, (3, 32, 32), 15),
    }


def wide(size: int, divisor: int) -> Family:
    """G of widths 256-128-64 and D of 64-128-256, over `divisor`; a layer more per doubling above 32 px."""
    more = (size // 32).bit_length() - 1
    widths = [256 // divisor] * more + [width // divisor for width in (256, 128, 64)]
    back = [width // divisor for width in (64, 128, 256)] + [256 // divisor] * more
    layers = 3 + more
    return Family(
        latent_size=100,
        generator=GeneratorNetwork(
            dense_filters=widths[0], filters=widths[1:], kernels=[4] * layers, strides=[2] * layers
        ),
        discriminator=DiscriminatorNetwork(
            filters=back, kernels=[4] * layers, strides=[2] * layers, head_dropout=0.3
        ),
    )


def learner_of(family: Family, training: Training, shape: Shape) -> GanLearner:
    return GanLearner("dcgan", family, training, shape, labels=0, seed=0, mirrored=False, device=CPU)


def stepper(family: Family, training: Training, shape: Shape) -> Callable[[int], None]:
    """A function: trains one replica for the step of a number."""
    learner = learner_of(family, training, shape)
    batch = Batch.unlabelled(torch.zeros(training.batch_size, *shape, dtype=torch.uint8))

    def step(number: int) -> None:
        learner.prepare(number, 1.0, 0.1)
        learner.step(batch)

    return step


def replicas(
    family: Family,
    training: Training,
    shape: Shape,
    *,
    steps: int,
    count: int,
    images: int = 256,
    name: str = "dcgan",
    classes: int = 10,
    mirrored: bool = False,
) -> tuple[list[Replica], ArrayImages]:
    """`count` replicas of one epoch of `steps` steps, each with random images of its own, and all images.

    images: per replica. name: of the family. classes: of the random labels, where the family has labels.
    mirrored: whether images may be flipped.
    """
    per_epoch = steps * training.batch_size * family.n_critic
    training = replace(training, epochs=1, images_per_epoch=per_epoch)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count * images, *shape), dtype=np.uint8)
    created = []
    for seed in range(count):
        rows, labels = np.arange(seed * images, (seed + 1) * images), None
        if family.labels == "conditional":
            labels = rng.integers(0, classes, images)
        elif family.labels == "multi_hot":
            labels = rng.integers(0, 2, (images, classes), dtype=np.uint8)
        length = classes if labels is not None else 0
        preview = np.eye(length, dtype=np.float32) if length else np.zeros((1, 0), np.float32)
        created.append(
            Replica(
                str(seed),
                name,
                family,
                training,
                rows,
                seed,
                mirrored=mirrored,
                labels=labels,
                label_length=length,
                preview_labels=preview,
            )
        )
    return created, ArrayImages(pixels)


def table(rows: list[Row]) -> str:
    """A Markdown table of all columns that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        values = [row.get(name, "") for name in names]
        cells = [f"{value:,.2f}" if isinstance(value, float) else str(value) for value in values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
