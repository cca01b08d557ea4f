"""Preparation of a data set: read a source, split it, convert and check its images, write arrays."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.bit_depth import convert_splits
from labelmint.data.convert import Converted
from labelmint.data.duplicates import Duplicates, find_duplicates
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, VALIDATION, BadImages, Source
from labelmint.data.sources import read
from labelmint.data.storage.splits import at_most, hold_out
from labelmint.data.storage.tensors import ImageFile, keep_rows, save_array, save_checksums
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import counted, shortened

_MAX_BAD_FRACTION, _MAX_BAD_OF_FEW = 0.01, 3


@dataclass(frozen=True)
class Prepared:
    """A prepared data set. Lists have one entry per split: training, validation, test.

    dataset: with the bit depth that was found.
    rows: positions in the source of the split's images, int64 (N,).
    kept: indices into rows of the images that are neither bad nor dropped, int64 (K,).
    labels: their labels, (K,) or multi-hot (K, A).
    """

    source: Source
    dataset: Dataset
    rows: list[np.ndarray]
    kept: list[np.ndarray]
    labels: list[np.ndarray]
    converted: list[Converted]
    duplicates: Duplicates
    bad: BadImages

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of images, duplicates and bad images by name."""
        sizes = {f"n_{name}": len(labels) for name, labels in zip(SPLITS, self.labels)}
        return sizes | self.duplicates.counts | {"bad_images": len(self.bad)}

    def summary(self) -> str:
        """One line for the user."""
        names = ("training", "validation", "test")
        sizes = [f"{len(labels):,} {name}" for name, labels in zip(names, self.labels) if len(labels)]
        line = f"{self.source.title}: {', '.join(sizes)} images"
        if dropped := sum(int(part.sum()) for part in self.duplicates.dropped):
            line += f"; {dropped:,} dropped because another split has them"
        if near := self.duplicates.counts["near_test_in_training"]:
            line += f"; {near:,} test images have a near duplicate in training"
        if self.bad:
            line += f"; {len(self.bad):,} bad images left out, listed in manifest.json"
        return line


def prepare(dataset: Dataset, raw: Path, work: Path, compute: Compute) -> Prepared:
    """Prepare `dataset` and write each split's arrays to work/train, work/validation and work/test.

    raw: folder of published files. work: empty folder. Raises: InputError.
    """
    source = read(dataset, raw, work / "unpacked")
    for note in source.notes:
        say(f"note: {note}")
    rows = split(source, dataset)
    files = [work / name / "images.npy" for name in SPLITS]
    converted, dataset = convert_splits(source, rows, dataset, files, compute)
    bad = check_bad_images(source, converted, dataset.on_bad_image)
    with ExitStack() as stack:
        images = [stack.enter_context(ImageFile(file)) for file in files]
        duplicates = find_duplicates(converted, images, dataset)
    kept = [np.flatnonzero(part.good & ~dropped) for part, dropped in zip(converted, duplicates.dropped)]
    labels = [source.labels[part[indices]] for part, indices in zip(rows, kept)]
    copies = int(duplicates.dropped[TRAIN].sum())
    check_classes(labels[TRAIN], labels[TEST], source.classes, copies)
    for file, indices, own in zip(files, kept, labels):
        keep_rows(file, indices)
        save_array(file.with_name("labels.npy"), own if own.ndim == 1 else own.astype(np.float32))
        save_checksums(file.parent)
    return Prepared(source, dataset, rows, kept, labels, converted, duplicates, bad)


def split(source: Source, dataset: Dataset) -> list[np.ndarray]:
    """Positions in the source of training, validation and test images, each ascending.

    The split is the source's own, or is drawn with `split_seed` where it has none. Then at most
    images_per_class images of each class are kept.
    """
    positions = np.arange(len(source.labels))
    if source.split is None:
        parts = [positions, positions[:0], positions[:0]]
    else:
        parts = [positions[source.split == part] for part in (TRAIN, VALIDATION, TEST)]
    for part, percent, purpose in (
        (TEST, dataset.test_percent, "test"),
        (VALIDATION, dataset.validation_percent, "validation"),
    ):
        if percent and not len(parts[part]):
            rest, held = hold_out(source.labels[parts[TRAIN]], percent, dataset.split_seed, purpose)
            parts[part], parts[TRAIN] = parts[TRAIN][held], parts[TRAIN][rest]
    if dataset.images_per_class is not None:
        most = dataset.images_per_class
        parts = [part[at_most(source.labels[part], most, dataset.split_seed, "few")] for part in parts]
    return parts


def check_bad_images(
    source: Source, converted: list[Converted], action: str, flag: str = "dataset.on_bad_image: skip"
) -> BadImages:
    """Bad images of all splits.

    flag: with which the user leaves them out.
    Raises: InputError when there is one and `action` is fail, or when more than 1 % and more than three are
    bad.
    """
    bad = source.unreadable + [each for part in converted for each in part.bad]
    total = len(source.unreadable) + sum(len(part.good) for part in converted)
    if not bad:
        return bad
    most = max(int(_MAX_BAD_FRACTION * total), _MAX_BAD_OF_FEW)
    named = shortened([f"{name}: {reason}" for name, reason in bad])
    problem = f"{len(bad):,} of {counted(total, 'image')} cannot be used ({named}); repair or remove them"
    if len(bad) > most:
        raise InputError(f"{problem}: at most {most:,} can be left out")
    if action == "fail":
        raise InputError(f"{problem}, or leave up to {most:,} out with {flag}")
    return bad


def check_classes(train: np.ndarray, test: np.ndarray, classes: list[str], copies: int = 0) -> None:
    """Check the labels of training and test images, (N,) or multi-hot (N, A).

    copies: training images that were dropped because another split has them.
    Raises: InputError when a class has fewer than two training images or no test image, or a label has no
    class.
    """
    for split_name, labels, least in (("training", train, 2), ("test", test, 1)):
        if labels.ndim > 1:  # multi-hot: there must be images with and without each attribute
            ones = labels.sum(0)
            counts = np.minimum(ones, len(labels) - ones)
        else:
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
                raise InputError(
                    f"{split_name} labels run from {labels.min()} to {labels.max()}, "
                    f"but there are {len(classes)} classes"
                )
            counts = np.bincount(labels, minlength=len(classes))
        poor = [classes[index] for index in np.flatnonzero(counts < least)]
        if poor:
            advice = "add images or remove the class"
            if copies and split_name == "training":
                advice = (
                    f"{copies:,} of {counted(len(train) + copies, 'training image')} are also in the test or "
                    "validation set, and a test on images that were learned measures nothing; remove these "
                    "copies from one of the sets"
                )
            raise InputError(f"class {shortened(poor)}: fewer than {least} {split_name} images; {advice}")
