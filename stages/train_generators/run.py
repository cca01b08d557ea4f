"""The stage: train the generators of one arm, one per class."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.prepare.files import load_json, save_bytes, save_json, save_table, whole
from stages.prepare.layout import Arm, Layout
from stages.prepare.params import Compute
from stages.prepare.splits import derive_seed, subset
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.train_generators import archive, checkpoints, previews
from stages.train_generators.engine import run_jobs
from stages.train_generators.params import Family, Training
from stages.train_generators.trainer import Replica, Trained, train_replica
from stages.train_generators.updates import TRACKED

_GIF_PIXELS = 32  # frames of this size keep the report small


@dataclass(frozen=True)
class Params:
    arm: Arm
    family: Family
    training: Training
    compute: Compute


@dataclass(frozen=True)
class _Identity:
    """What the checkpoints of a run depend on, besides the images."""

    arm: Arm
    family: Family
    training: Training


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    started, arm = time.perf_counter(), params.arm
    images, labels = load_set(layout.tensors)
    facts = load_json(layout.tensors / "dataset.json")
    classes, mirrored = facts["classes"], facts["mirror"]
    chosen = subset(labels, arm.percent, arm.seed)
    images, labels = np.asarray(images[chosen]), labels[chosen]

    folder = layout.checkpoints(
        checkpoints.key(_Identity(arm, params.family, params.training), images, labels, np.array(mirrored))
    )
    replicas = [
        Replica(
            name,
            arm.generator,
            params.family,
            params.training,
            images[labels == label],
            derive_seed(arm.seed, "generator", label),
            mirrored[label],
            folder / f"class-{label}.pt",
        )
        for label, name in enumerate(classes)
    ]
    trained: list[Trained | None] = [None] * len(replicas)
    with closing(run_jobs(train_replica, replicas, params.compute)) as results:
        for position, result in results:
            trained[position] = result
            say(
                f"class {result.name}: {result.epochs[-1]['images_seen']:.0f} images seen, {sum(result is not None for result in trained)} of {len(replicas)} generators done"
            )
            for row in result.epochs:
                tracker.log_metrics(
                    {f"{name}/{result.name}": row[name] for name in TRACKED}, step=int(row["images_seen"])
                )

    write(layout.generator(arm), arm.generator, params.family, trained, tracker)
    save_json(layout.timing("train_generators", arm), {"seconds": round(time.perf_counter() - started, 2)})
    checkpoints.clear(folder)


def write(folder: Path, family_name: str, family: Family, trained: list[Trained], tracker: Tracker) -> None:
    weights = {name: np.stack([each.weights[name] for each in trained]) for name in trained[0].weights}
    shape = trained[0].previews.shape[2:]
    archive.save(folder, archive.GeneratorArchive(family_name, family, shape, [each.name for each in trained], weights))

    rows = ({"class": each.name, "epoch": epoch, **row} for each in trained for epoch, row in enumerate(each.epochs, 1))
    save_table(folder / "training.csv", ["class", "epoch", "images_seen", *TRACKED, "images_per_second"], rows)

    sheets = [np.stack(rows) for rows in zip(*(each.previews for each in trained))]
    for epoch, sheet in enumerate(sheets, 1):
        content = previews.png(previews.grid(sheet))
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", content)
        tracker.log_figure("samples", content, step=epoch)
    with whole(folder / "progress.gif") as partial:
        previews.save_gif(partial, [previews.grid(sheet, _GIF_PIXELS) for sheet in sheets])
    for name in ("training.csv", "progress.gif", "architecture.json", "generator.safetensors"):
        tracker.log_file(folder / name)
