"""The stage: train the generators of one arm, one per class."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stages.prepare.files import load_json, save_bytes, save_json, save_table, whole
from stages.prepare.layout import Arm, Layout
from stages.prepare.params import Compute, flat
from stages.prepare.splits import derive_seed, subset
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.train_generators import archive, checkpoints, distributed, health, previews
from stages.train_generators.images import FileImages, digest
from stages.train_generators.params import Family, Training
from stages.train_generators.strategies import train_arm
from stages.train_generators.trainer import Replica, Trained
from stages.train_generators.updates import TRACKED

_GIF_PIXELS = 32  # frames of this size keep the report small
_LOGGED = (*TRACKED, "diversity")


@dataclass(frozen=True)
class Params:
    arm: Arm
    family: Family
    training: Training
    compute: Compute


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    started, arm = time.perf_counter(), params.arm
    _, labels = load_set(layout.tensors)
    images = FileImages(layout.tensors / "images.npy")
    facts = load_json(layout.tensors / "dataset.json")
    classes, mirrored = facts["classes"], facts["mirror"]
    chosen = subset(labels, arm.percent, arm.seed)
    labels = labels[chosen]

    data = digest(images, chosen)
    settings = {"family": asdict(params.family), "training": asdict(params.training), "mirror": mirrored, "data": data}
    folder = checkpoints.open_folder(layout.checkpoints, arm.name, flat(settings), distributed.leads())
    replicas = [
        Replica(
            name,
            arm.generator,
            params.family,
            params.training,
            chosen[labels == label],
            derive_seed(arm.seed, "generator", label),
            mirrored[label],
            folder / f"class-{label}",
            data,
        )
        for label, name in enumerate(classes)
    ]
    trained: list[Trained | None] = [None] * len(replicas)

    with closing(train_arm(arm.name, replicas, images, params.compute)) as results:
        for position, result in results:
            trained[position] = result
            if not distributed.leads():
                continue
            say(
                f"class {result.name}: {result.epochs[-1]['images_seen']:,} images seen, {result.epochs[-1]['health']}, {sum(result is not None for result in trained)} of {len(replicas)} generators done"
            )
            for row in result.epochs:
                tracker.log_metrics({f"{name}/{result.name}": row[name] for name in _LOGGED}, step=row["images_seen"])

    if not distributed.leads():
        return  # the leading process of torchrun writes what all have trained
    write(layout.generator(arm), arm.generator, params.family, trained, tracker)
    unwell = [result.name for result in trained if result.epochs[-1]["health"] != health.OK]
    tracker.log_metrics(
        {"unwell_classes": len(unwell), "restarts": sum(result.epochs[-1]["attempt"] for result in trained)}
    )
    save_json(layout.timing("train_generators", arm), {"seconds": round(time.perf_counter() - started, 2)})
    checkpoints.clear_owner(layout.checkpoints, arm.name)


def write(folder: Path, family_name: str, family: Family, trained: list[Trained], tracker: Tracker) -> None:
    weights = {name: np.stack([each.weights[name] for each in trained]) for name in trained[0].weights}
    shape = trained[0].previews.shape[2:]
    archive.save(folder, archive.GeneratorArchive(family_name, family, shape, [each.name for each in trained], weights))

    columns = ["class", "attempt", "epoch", "images_seen", *_LOGGED, "health", "images_per_second"]
    save_table(
        folder / "training.csv", columns, ({"class": each.name, **row} for each in trained for row in each.epochs)
    )

    sheets = [np.stack(rows) for rows in zip(*(each.previews for each in trained))]
    for epoch, sheet in enumerate(sheets, 1):
        content = previews.png(previews.grid(sheet))
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", content)
        tracker.log_figure("samples", content, step=epoch)
    with whole(folder / "progress.gif") as partial:
        previews.save_gif(partial, [previews.grid(sheet, _GIF_PIXELS) for sheet in sheets])
    for name in ("training.csv", "progress.gif", "architecture.json", "generator.safetensors"):
        tracker.log_file(folder / name)
