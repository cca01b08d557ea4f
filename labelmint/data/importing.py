"""Import of the user's own images: check every image, and pack the good ones into one reproducible file."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.bit_depth import convert_splits
from labelmint.data.preparation import check_bad_images, check_classes, split
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, BadImages, Source
from labelmint.data.sources import imagefolder
from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.atomic_files import atomic_write
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute

_CHUNK = 1024


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    sha256: hash of the file. counts: images per class, in the order of classes.
    grey: True if no image has colour. repeated: images that occur more than once.
    own_test: whether test images were given separately. bit_depth: of images of 16 bits, None for 16.
    """

    path: Path
    sha256: str
    classes: list[str]
    counts: list[int]
    grey: bool
    repeated: int
    own_test: bool
    bit_depth: int | None
    bad: BadImages


def import_images(origin: Path, target: Path, dataset: Dataset, compute: Compute) -> Imported:
    """Check the images of a folder or an archive as `prepare` does, and pack the good ones into a tar.

    dataset: how they will be prepared; its path is not used. target: the tar.
    The same images give the same bytes.
    Raises: InputError when they cannot be used; then `target` is unchanged.
    """
    work = target.with_name(f".{target.name}.import")
    shutil.rmtree(work, ignore_errors=True)
    try:
        source = imagefolder.read_from(origin, dataset.name, work / "unpacked", dataset.encoding)
        positions = np.arange(len(source.labels))
        (converted,), found = convert_splits(source, [positions], dataset, [work / "images.npy"], compute)
        bad = check_bad_images(source, [converted], dataset.on_bad_image, "--on-bad-image skip")
        good = np.flatnonzero(converted.good)
        parts = [part[converted.good[part]] for part in split(source, dataset)]
        check_classes(source.labels[parts[TRAIN]], source.labels[parts[TEST]], source.classes)
        grey = _is_grey(work / "images.npy", good)
        _pack(source, good, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Imported(
        path=target,
        sha256=digest,
        classes=source.classes,
        counts=np.bincount(source.labels[good], minlength=len(source.classes)).tolist(),
        grey=grey,
        repeated=len(good) - len(np.unique(converted.hashes[good])),
        own_test=source.split is not None and bool((source.split == TEST).any()),
        bit_depth=found.bit_depth,
        bad=bad,
    )


def _is_grey(path: Path, rows: np.ndarray) -> bool:
    with ImageFile(path) as file:
        chunks = (file[rows[start : start + _CHUNK]] for start in range(0, len(rows), _CHUNK))
        return all((images == images[:, :1]).all() for images in chunks)


def _pack(source: Source, rows: np.ndarray, target: Path) -> None:
    """Write a tar in the source's order, without times and owners. Images keep their bytes."""
    with (
        atomic_write(target) as partial,
        tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive,
        source.images.open() as read,
        Progress("packing", len(rows), "images") as progress,
    ):
        for row in rows.tolist():
            name, label, content = source.images.name(row), source.classes[source.labels[row]], read(row)
            if not isinstance(content, bytes):
                raise InputError(f"{name} is not an encoded image")
            split_folder = f"{SPLITS[source.split[row]]}/" if source.split is not None else ""
            entry = tarfile.TarInfo(f"{split_folder}{label}/{imagefolder.name_in_class(name, label)}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            progress.add(1)
