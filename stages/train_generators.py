"""Stage train_generators: train the generators of one arm, one per class or one for all classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.storage import image_grid
from labelmint.data.storage.splits import subset
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive, registry
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.settings import Family
from labelmint.runtime.atomic_files import atomic_write, load_json, save_bytes, save_json, save_table
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute, flat
from labelmint.runtime.tracker import Tracker
from labelmint.training import checkpoints, distributed, health
from labelmint.training.fit import assemble, plan_replicas, stack
from labelmint.training.images import FileImages, digest
from labelmint.training.replica import Replica, Trained
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm
from labelmint.training.updates import TRACKED
from stages.paths import Arm, Paths

_GIF_PIXELS = 32  # frames of this size keep the report small
_LOGGED = (*TRACKED, "diversity")


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    arm: Arm
    family: Family
    training: Training
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write data/generators/<arm>. An interrupted run resumes from its checkpoints."""
    started, arm, family = time.perf_counter(), params.arm, params.family
    _, labels = load_set(paths.tensors)
    dataset = load_json(paths.tensors / "dataset.json")
    registry.check(arm.generator, family, dataset["classes"])
    images = FileImages(paths.tensors / "images.npy")
    rows = subset(labels, arm.percent, arm.seed)
    labels, data = labels[rows], digest(images, rows)
    label_spec = LabelSpec.of(family, dataset["classes"], labels)

    settings = {"family": asdict(family), "training": asdict(params.training)}
    identity = flat({**settings, "mirror": dataset["mirror"], "data": data})
    main = distributed.is_main_process()
    folder = checkpoints.open_folder(paths.checkpoints, arm.name, identity, main)
    replicas = plan_replicas(
        arm.generator,
        family,
        params.training,
        label_spec,
        rows=rows,
        labels=labels,
        mirror=dataset["mirror"],
        seed=arm.seed,
        checkpoints=folder,
        data=data,
    )
    trained = _train(arm, replicas, images, params.compute, tracker)
    if not main:
        return  # the main process of torchrun writes what all have trained

    trained_on = {name: dataset[name] for name in ("name", "title", "licence")}
    trained_on |= {"percent": arm.percent, "seed": arm.seed, "images": len(rows), "images_sha256": data}
    generators = assemble(arm.generator, family, label_spec, trained, trained_on)
    archive.save(paths.generator(arm), generators, stack([each.discriminator for each in trained]))
    _write_progress(paths.generator(arm), trained, tracker)
    last = [each.epochs[-1] for each in trained]
    unhealthy = sum(row["health"] != health.OK for row in last)
    restarts = sum(row["attempt"] for row in last)
    tracker.log_metrics({"unhealthy_classes": unhealthy, "restarts": restarts})
    save_json(paths.timing("train_generators", arm), {"seconds": round(time.perf_counter() - started, 2)})
    checkpoints.clear_owner(paths.checkpoints, arm.name)


def _train(
    arm: Arm, replicas: Sequence[Replica], images: FileImages, compute: Compute, tracker: Tracker
) -> list[Trained]:
    """Train the replicas and log each as it finishes. Returns: the results in the order of `replicas`."""
    trained: dict[int, Trained] = {}
    with closing(train_arm(arm.name, replicas, images, compute)) as results:
        for position, result in results:
            trained[position] = result
            if distributed.is_main_process():
                last, done = result.epochs[-1], f"{len(trained)} of {len(replicas)} generators done"
                say(f"class {result.name}: {last['images_seen']:,} images seen, {last['health']}, {done}")
                child = tracker.child(f"class {result.name}")
                for row in result.epochs:
                    child.log_metrics({name: row[name] for name in _LOGGED}, step=row["images_seen"])
    return [trained[position] for position in range(len(replicas))]


def _write_progress(folder: Path, trained: Sequence[Trained], tracker: Tracker) -> None:
    """Write training.csv, and the previews of all generators as one grid per epoch and as progress.gif."""
    columns = ["class", "attempt", "epoch", "images_seen", *_LOGGED, "health", "images_per_second"]
    rows: list[dict[str, Any]] = [{"class": each.name, **row} for each in trained for row in each.epochs]
    save_table(folder / "training.csv", columns, rows)

    sheets = [np.concatenate(previews) for previews in zip(*(each.previews for each in trained))]
    for epoch, sheet in enumerate(sheets, 1):
        content = image_grid.png(image_grid.grid(sheet))
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", content)
        tracker.log_figure("samples", content, step=epoch)
    with atomic_write(folder / "progress.gif") as partial:
        image_grid.save_gif(partial, [image_grid.grid(sheet, _GIF_PIXELS) for sheet in sheets])
    for name in ("training.csv", "progress.gif", "architecture.json", "generator.safetensors"):
        tracker.log_file(folder / name)
