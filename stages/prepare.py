"""The stage: read a source, split it, size it, check it, write it."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data import manifest
from labelmint.data import settings as P
from labelmint.data.convert import Converted, convert
from labelmint.data.duplicates import Duplicates, find_duplicates
from labelmint.data.source import SPLITS, TEST, TRAIN, VALIDATION, BadImages, Source
from labelmint.data.sources import read
from labelmint.data.sources.imagefolder import some
from labelmint.data.storage.splits import at_most, hold_out
from labelmint.data.storage.tensors import ImageFile, keep_rows, save_array, save_checksums
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths

_MOST_BAD = 0.01


@dataclass(frozen=True)
class Params:
    dataset: P.Dataset
    percents: list[int]
    seeds: list[int]
    compute: Compute


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    work = layout.unfinished_tensors
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        prepare(params, layout, work, tracker)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def prepare(params: Params, layout: Paths, work: Path, tracker: Tracker) -> None:
    """Everything is made in `work`, and takes its place at the end."""
    dataset = params.dataset
    source = read(dataset, layout.raw, work / "unpacked")
    for note in source.notes:
        say(f"note: {note}")
    rows = split(source, dataset)
    files = [work / name / "images.npy" for name in SPLITS]
    converted = [convert(source, part, dataset, file, params.compute) for part, file in zip(rows, files)]
    bad = check_bad(source, converted, dataset.on_bad_image)
    with ExitStack() as stack:
        images = [stack.enter_context(ImageFile(file)) for file in files]
        doubles = find_duplicates(converted, images, dataset)

    kept = [np.flatnonzero(part.good & ~leaves) for part, leaves in zip(converted, doubles.leave)]
    labels = [source.labels[part[places]] for part, places in zip(rows, kept)]
    check_classes(labels[TRAIN], labels[TEST], source.classes)
    for file, places, own in zip(files, kept, labels):
        keep_rows(file, places)
        save_array(file.with_name("labels.npy"), own if own.ndim == 1 else own.astype(np.float32))
        save_checksums(file.parent)
    told = manifest.Told(source, dataset, rows, kept, labels, converted, doubles, bad)
    manifest.save(work, told, params.percents, params.seeds)
    publish(work, layout)

    counts = {f"n_{name}": len(own) for name, own in zip(SPLITS, labels)}
    tracker.log_metrics(counts | doubles.counts | {"bad_images": len(bad)})
    say(summary(source, labels, doubles, bad))


def split(source: Source, params: P.Dataset) -> list[np.ndarray]:
    """Positions in the source of (training, validation, test) images, each ascending.

    The source's own split, or one drawn by `split_seed` where it has none; then at most images_per_class of each class.
    """
    everything = np.arange(len(source.labels))
    if source.split is None:
        parts = [everything, everything[:0], everything[:0]]
    else:
        parts = [everything[source.split == part] for part in (TRAIN, VALIDATION, TEST)]
    for part, percent, purpose in (
        (TEST, params.test_percent, "test"),
        (VALIDATION, params.validation_percent, "validation"),
    ):
        if percent and not len(parts[part]):
            rest, held = hold_out(source.labels[parts[TRAIN]], percent, params.split_seed, purpose)
            parts[part], parts[TRAIN] = parts[TRAIN][held], parts[TRAIN][rest]
    if params.images_per_class is not None:
        parts = [
            part[at_most(source.labels[part], params.images_per_class, params.split_seed, "few")] for part in parts
        ]
    return parts


def check_bad(source: Source, converted: list[Converted], action: str) -> BadImages:
    """Every bad image. Raises: InputError when `action` is fail and there is one, or more than 1 % are bad."""
    bad = source.unreadable + [each for part in converted for each in part.bad]
    total = len(source.unreadable) + sum(len(part.good) for part in converted)
    if not bad:
        return bad
    named = some([f"{name}: {reason}" for name, reason in bad])
    if action == "fail":
        raise InputError(
            f"{len(bad):,} of {total:,} images cannot be used ({named}); mend or remove them, or set dataset.on_bad_image: skip"
        )
    if len(bad) > _MOST_BAD * total:
        raise InputError(
            f"{len(bad):,} of {total:,} images cannot be used ({named}); skipping is for at most {100 * _MOST_BAD:.0f} %, so mend or remove them"
        )
    return bad


def check_classes(train: np.ndarray, test: np.ndarray, classes: list[str]) -> None:
    """Raises: InputError when a class has no images, or fewer than two to train on, or a label has no class."""
    for split_name, labels, least in (("training", train, 2), ("test", test, 1)):
        if labels.ndim > 1:  # multi-hot: each attribute must be seen both ways
            ones = labels.sum(0)
            counts = np.minimum(ones, len(labels) - ones)
        else:
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
                raise InputError(
                    f"{split_name} labels run from {labels.min()} to {labels.max()}, but there are {len(classes)} classes"
                )
            counts = np.bincount(labels, minlength=len(classes))
        poor = [classes[index] for index in np.flatnonzero(counts < least)]
        if poor:
            raise InputError(
                f"class {some(poor)}: fewer than {least} {split_name} images; add images or remove the class"
            )


def publish(work: Path, layout: Paths) -> None:
    """Move what is finished to where the other stages look for it: training images at the top."""
    for folder, target in (
        (work / "train", layout.tensors),
        (work / "validation", layout.validation_tensors),
        (work / "test", layout.test_tensors),
        (work / "facts", layout.tensors),
    ):
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            os.replace(file, target / file.name)


def summary(source: Source, labels: list[np.ndarray], doubles: Duplicates, bad: BadImages) -> str:
    sizes = [f"{len(own):,} {name}" for name, own in zip(("training", "validation", "test"), labels) if len(own)]
    dropped = [int(leaves.sum()) for leaves in doubles.leave]
    line = f"{source.title}: {', '.join(sizes)} images"
    if sum(dropped):
        line += f"; {sum(dropped):,} dropped because another split has them"
    if doubles.counts["near_test_in_training"]:
        line += f"; {doubles.counts['near_test_in_training']:,} test images have a near duplicate in training"
    if bad:
        line += f"; {len(bad):,} bad ones left out, listed in manifest.json"
    return line
