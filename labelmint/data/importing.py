"""Import of the user's own images: check every image, and pack the good ones into one reproducible file."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labelmint.data.bit_depth import convert_splits
from labelmint.data.preparation import check_bad_images, check_classes, split
from labelmint.data.reading import packed
from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.reading import Choice, Reading
from labelmint.data.reading.tree import open_tree
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, VALIDATION, BadImages, Images
from labelmint.data.sources.imagefolder import source_of
from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.atomic_files import atomic_write
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute

_CHUNK = 1024


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    sha256: hash of the file. labels: where they come from. counts: images per class, in the order of classes.
    splits: images of each split that was given; empty where none was. left_out: files, and why.
    grey: True if no image has colour. repeated: images that occur more than once. contradictory: images
    whose content is in several classes. copies: training images that are also in another split.
    bit_depth: of images of 16 bits, None for 16. bad: images that cannot be used.
    """

    path: Path
    sha256: str
    labels: str
    classes: list[str]
    counts: list[int]
    splits: dict[str, int]
    left_out: list[str]
    grey: bool
    repeated: int
    contradictory: int
    copies: int
    bit_depth: int | None
    bad: BadImages


def import_images(origin: Path, target: Path, dataset: Dataset, compute: Compute) -> Imported:
    """Check the images of a folder or an archive as `prepare` does, and pack the good ones into a tar.

    dataset: how they will be read and prepared; its path is not used. target: the tar.
    The same images give the same bytes.
    Raises: UnclearError where they can be read in several ways, InputError when they cannot be used; then
    `target` is unchanged.
    """
    work = target.with_name(f".{target.name}.import")
    shutil.rmtree(work, ignore_errors=True)
    try:
        tree = open_tree(origin, work / "unpacked", dataset.encoding)
        reading = read_tree(tree, origin, Choice.of(dataset))
        source = source_of(tree, reading, dataset.name, origin)
        positions = np.arange(len(source.labels))
        (converted,), found = convert_splits(source, [positions], dataset, [work / "images.npy"], compute)
        bad = check_bad_images(source, [converted], dataset.on_bad_image, "--on-bad-image skip")
        good = np.flatnonzero(converted.good)
        parts = [part[converted.good[part]] for part in split(source, dataset)]
        later = converted.hashes[np.concatenate([parts[VALIDATION], parts[TEST]])]
        copied = np.isin(converted.hashes[parts[TRAIN]], later)
        train, test = source.labels[parts[TRAIN][~copied]], source.labels[parts[TEST]]
        check_classes(train, test, source.classes, int(copied.sum()))
        grey = _is_grey(work / "images.npy", good)
        kept = replace(reading, entries=[reading.entries[row] for row in good])
        _pack(kept, tree.images([entry.index for entry in kept.entries]), target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    given = [] if source.split is None else np.bincount(source.split[good], minlength=len(SPLITS)).tolist()
    return Imported(
        path=target,
        sha256=digest,
        labels=reading.labels,
        classes=source.classes,
        counts=np.bincount(source.labels[good], minlength=len(source.classes)).tolist(),
        splits={name: count for name, count in zip(SPLITS, given) if count},
        left_out=reading.left_out,
        grey=grey,
        repeated=len(good) - len(np.unique(converted.hashes[good])),
        contradictory=_in_several_classes(converted.hashes[good], source.labels[good]),
        copies=int(copied.sum()),
        bit_depth=found.bit_depth,
        bad=bad,
    )


def _is_grey(path: Path, rows: np.ndarray) -> bool:
    with ImageFile(path) as file:
        chunks = (file[rows[start : start + _CHUNK]] for start in range(0, len(rows), _CHUNK))
        return all((images == images[:, :1]).all() for images in chunks)


def _in_several_classes(hashes: np.ndarray, labels: np.ndarray) -> int:
    """Number of images whose content has more than one label. hashes, labels: (N,)."""
    _, group = np.unique(hashes, return_inverse=True)
    pairs = np.unique(np.stack([group, labels]), axis=1)
    return int((np.bincount(pairs[0])[group] > 1).sum())


def _pack(reading: Reading, images: Images, target: Path) -> None:
    """Write a tar of a reading in its order, without times and owners. Images keep their bytes."""
    with (
        atomic_write(target) as partial,
        tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive,
        images.open() as read,
        Progress("packing", len(reading.entries), "images") as progress,
    ):
        _add(archive, packed.DESCRIPTION, packed.describe(reading))
        for row, name in enumerate(packed.packed_names(reading)):
            content = read(row)
            if not isinstance(content, bytes):
                raise InputError(f"{name} is not an encoded image")
            _add(archive, name, content)
            progress.add(1)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
