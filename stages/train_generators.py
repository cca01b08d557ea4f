"""The stage: train the generators of one arm, one per class or one for all."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.storage import image_grid
from labelmint.data.storage.splits import derive_seed, subset
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive, registry
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.settings import Family
from labelmint.runtime.atomic_files import atomic_write, load_json, save_bytes, save_json, save_table
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute, flat
from labelmint.runtime.tracker import Tracker
from labelmint.training import checkpoints, distributed, health
from labelmint.training.images import FileImages, digest
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm
from labelmint.training.trainer import Replica, Trained
from labelmint.training.updates import TRACKED
from stages.paths import Arm, Paths

_GIF_PIXELS = 32  # frames of this size keep the report small
_ROWS_SHOWN = 12
_LOGGED = (*TRACKED, "diversity")


@dataclass(frozen=True)
class Params:
    arm: Arm
    family: Family
    training: Training
    compute: Compute


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    started, arm = time.perf_counter(), params.arm
    _, labels = load_set(layout.tensors)
    images = FileImages(layout.tensors / "images.npy")
    facts = load_json(layout.tensors / "dataset.json")
    registry.check(arm.generator, params.family, facts["classes"])
    chosen = subset(labels, arm.percent, arm.seed)
    labels = labels[chosen]
    label_spec = LabelSpec.of(params.family, facts["classes"], labels)

    data = digest(images, chosen)
    settings = {"family": asdict(params.family), "training": asdict(params.training), "mirror": facts["mirror"], "data": data}  # fmt: skip
    folder = checkpoints.open_folder(layout.checkpoints, arm.name, flat(settings), distributed.leads())
    replicas = plan(params, chosen, labels, facts, label_spec, folder, data)
    trained: list[Trained | None] = [None] * len(replicas)

    with closing(train_arm(arm.name, replicas, images, params.compute)) as results:
        for position, result in results:
            trained[position] = result
            if not distributed.leads():
                continue
            say(
                f"class {result.name}: {result.epochs[-1]['images_seen']:,} images seen, {result.epochs[-1]['health']}, {sum(result is not None for result in trained)} of {len(replicas)} generators done"
            )
            of_class = tracker.child(f"class {result.name}")
            for row in result.epochs:
                of_class.log_metrics({name: row[name] for name in _LOGGED}, step=row["images_seen"])

    if not distributed.leads():
        return  # the leading process of torchrun writes what all have trained
    seen = {name: facts[name] for name in ("name", "title", "licence")}
    seen |= {"percent": arm.percent, "seed": arm.seed, "images": len(chosen), "images_sha256": data}
    write(layout.generator(arm), arm.generator, params.family, label_spec, trained, seen, tracker)
    unwell = [result.name for result in trained if result.epochs[-1]["health"] != health.OK]
    tracker.log_metrics(
        {"unhealthy_classes": len(unwell), "restarts": sum(result.epochs[-1]["attempt"] for result in trained)}
    )
    save_json(layout.timing("train_generators", arm), {"seconds": round(time.perf_counter() - started, 2)})
    checkpoints.clear_owner(layout.checkpoints, arm.name)


def plan(
    params: Params, rows: np.ndarray, labels: np.ndarray, facts: dict[str, Any], label_spec: LabelSpec, folder: Path | None, data: str
) -> list[Replica]:  # fmt: skip
    """The arm's replicas. rows: of its images; labels: theirs. facts: of the data set. folder: for their checkpoints."""
    arm, family = params.arm, params.family
    allowed = np.array(facts["mirror"])

    def replica(name: str, place: int, own: slice | np.ndarray, **more: Any) -> Replica:
        mirrored = np.all(allowed) if labels.ndim > 1 else allowed[labels[own]]
        seed = derive_seed(arm.seed, "generator", place)
        kept = folder / f"class-{place}" if folder else None
        return Replica(name, arm.generator, family, params.training, rows[own], seed, mirrored, checkpoints=kept, data=data, **more)  # fmt: skip

    if family.labels == "per_class":
        return [replica(name, label, labels == label) for label, name in enumerate(label_spec.names)]
    if family.labels == "none":
        return [replica("all", 0, slice(None))]
    told = labels if family.labels == "conditional" else labels.astype(np.uint8)
    shown = label_spec.vectors[label_spec.commonest(_ROWS_SHOWN)]
    return [replica("all", 0, slice(None), labels=told, label_length=label_spec.vectors.shape[1], shown=shown)]


def write(
    folder: Path, family_name: str, family: Family, label_spec: LabelSpec, trained: list[Trained], seen: dict[str, Any], tracker: Tracker
) -> None:  # fmt: skip
    """seen: what they were trained on."""
    weights, critics = (
        {name: np.stack([getattr(each, player)[name] for each in trained]) for name in getattr(trained[0], player)}
        for player in ("weights", "discriminator")
    )
    shape = trained[0].previews.shape[3:]
    archive.save(folder, archive.GeneratorArchive(family_name, family, shape, label_spec, weights, seen), critics)

    columns = ["class", "attempt", "epoch", "images_seen", *_LOGGED, "health", "images_per_second"]
    save_table(
        folder / "training.csv", columns, ({"class": each.name, **row} for each in trained for row in each.epochs)
    )

    sheets = [np.concatenate(rows) for rows in zip(*(each.previews for each in trained))]
    for epoch, sheet in enumerate(sheets, 1):
        content = image_grid.png(image_grid.grid(sheet))
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", content)
        tracker.log_figure("samples", content, step=epoch)
    with atomic_write(folder / "progress.gif") as partial:
        image_grid.save_gif(partial, [image_grid.grid(sheet, _GIF_PIXELS) for sheet in sheets])
    for name in ("training.csv", "progress.gif", "architecture.json", "generator.safetensors"):
        tracker.log_file(folder / name)
