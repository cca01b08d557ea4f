"""The stage: read a source, split it, size it, check it, write it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from stages.prepare import params as P
from stages.prepare.errors import InputError
from stages.prepare.files import save_json
from stages.prepare.layout import Layout
from stages.prepare.preprocess import content_hashes, to_size
from stages.prepare.sources import READERS, Source, Split
from stages.prepare.splits import at_most, hold_out, subset
from stages.prepare.tensors import save_set
from stages.prepare.tracker import Tracker, say


@dataclass(frozen=True)
class Params:
    dataset: P.Dataset
    percents: list[int]
    seeds: list[int]


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    source = READERS[params.dataset.name](layout.raw)
    train, test = split(source, params.dataset)
    train_images, test_images = (to_size(part.images, params.dataset) for part in (train, test))
    train_hashes, test_hashes = content_hashes(train_images), content_hashes(test_images)
    kept, dropped = without_test_images(train_hashes, test_hashes, params.dataset.duplicates)
    check_classes(train.labels[kept], test.labels, source.classes)

    labels = train.labels[kept]
    save_set(layout.tensors, train_images[kept], labels)
    save_set(layout.test_tensors, test_images, test.labels)
    # What later stages need to know. It does not name percents or seeds, so that a new one changes nothing here.
    facts = {
        "name": params.dataset.name,
        "title": source.title,
        "licence": source.licence,
        "classes": source.classes,
        "labels": "single",
        "shape": list(train_images.shape[1:]),
        "n_train": len(labels),
        "n_test": len(test.labels),
    }
    save_json(layout.tensors / "dataset.json", facts)
    counts = {
        "train_images_also_in_test": len(dropped),
        "repeated_within_train": len(labels) - len({train_hashes[index] for index in kept}),
        "repeated_within_test": len(test_hashes) - len(set(test_hashes)),
    }
    save_json(
        layout.tensors / "manifest.json",
        {
            **facts,
            "checksums": source.checksums,
            "preprocessing": asdict(params.dataset),
            "duplicates": {**counts, "action": params.dataset.duplicates},
            "train": {
                "source_index": train.source_index[kept].tolist(),
                "sha256_16": [train_hashes[index] for index in kept],
            },
            "test": {"source_index": test.source_index.tolist(), "sha256_16": test_hashes},
            "subsets": {
                str(seed): {str(percent): subset(labels, percent, seed).tolist() for percent in sorted(params.percents)}
                for seed in params.seeds
            },
        },
    )
    tracker.log_metrics({"n_train": len(labels), "n_test": len(test.labels), **counts})
    say(
        f"{source.title}: {len(labels)} training and {len(test.labels)} test images; {len(dropped)} training images dropped because the test set has them"
    )


def split(source: Source, params: P.Dataset) -> tuple[Split, Split]:
    """(train, test): the source's own split, or one drawn by `split_seed`; then at most images_per_class of each class."""
    if source.test is not None:
        train, test = source.train, source.test
    else:
        rest, held = hold_out(source.train.labels, params.test_percent, params.split_seed, "test")
        train, test = _take(source.train, rest), _take(source.train, held)
    if params.images_per_class is not None:
        train, test = (
            _take(part, at_most(part.labels, params.images_per_class, params.split_seed, "few"))
            for part in (train, test)
        )
    return train, test


def without_test_images(train: list[str], test: list[str], action: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training images (kept, dropped) by content hash. Raises: InputError when `action` is refuse and any would go."""
    seen = set(test)
    leaked = np.array([digest in seen for digest in train], dtype=bool)
    if leaked.any() and action == "refuse":
        raise InputError(
            f"{leaked.sum()} training images also stand in the test set; set dataset.duplicates: drop to leave them out of training"
        )
    return np.flatnonzero(~leaked), np.flatnonzero(leaked)


def check_classes(train: np.ndarray, test: np.ndarray, classes: list[str]) -> None:
    """Raises: InputError when a class has no images, or fewer than two to train on, or a label has no class."""
    for split_name, labels, least in (("training", train, 2), ("test", test, 1)):
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise InputError(
                f"{split_name} labels run from {labels.min()} to {labels.max()}, but there are {len(classes)} classes"
            )
        counts = np.bincount(labels, minlength=len(classes))
        poor = [classes[index] for index in np.flatnonzero(counts < least)]
        if poor:
            raise InputError(
                f"class {', '.join(poor)}: fewer than {least} {split_name} images; add images or remove the class"
            )


def _take(part: Split, indices: np.ndarray) -> Split:
    return Split(part.images[indices], part.labels[indices], part.source_index[indices])
