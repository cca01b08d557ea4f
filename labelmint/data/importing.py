"""Take in a person's own images: check every one, and pack them into one file that never changes unseen."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.convert import convert
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, BadImages, Source
from labelmint.data.sources import imagefolder
from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.atomic_files import atomic_write
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from stages.prepare import check_bad, check_classes, split

_LOOK = 1024


@dataclass(frozen=True)
class Imported:
    """sha256: of the file. counts: images by class, in the order of classes. grey: no image has colour.
    repeated: images that are there more than once. own_split: train and test were given apart."""

    path: Path
    sha256: str
    classes: list[str]
    counts: list[int]
    grey: bool
    repeated: int
    own_split: bool
    bad: BadImages


def import_images(origin: Path, target: Path, dataset: Dataset, compute: Compute) -> Imported:
    """Check the images of a folder or an archive as `prepare` would, and pack the good ones into `target`, a tar.

    dataset: how they will be prepared; its path is not used. The same images give the same bytes.
    Raises: InputError when they cannot be used; then `target` is as it was.
    """
    work = target.with_name(f".{target.name}.import")
    shutil.rmtree(work, ignore_errors=True)
    try:
        source = imagefolder.read_from(origin, dataset.name, work / "unpacked")
        everything = np.arange(len(source.labels))
        converted = convert(source, everything, dataset, work / "images.npy", compute)
        bad = check_bad(source, [converted], dataset.on_bad_image)
        good = np.flatnonzero(converted.good)
        _check_splits(source, dataset, converted.good)
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
        own_split=source.split is not None,
        bad=bad,
    )


def _check_splits(source: Source, dataset: Dataset, good: np.ndarray) -> None:
    """Raises: InputError when a class would be left with too few images."""
    parts = [part[good[part]] for part in split(source, dataset)]
    check_classes(source.labels[parts[TRAIN]], source.labels[parts[TEST]], source.classes)


def _is_grey(path: Path, rows: np.ndarray) -> bool:
    with ImageFile(path) as file:
        pieces = (file[rows[at : at + _LOOK]] for at in range(0, len(rows), _LOOK))
        return all((images == images[:, :1]).all() for images in pieces)


def _pack(source: Source, rows: np.ndarray, target: Path) -> None:
    """A tar in the order of the source, without times or owners. Images keep their bytes, metadata and all."""
    with (
        atomic_write(target) as partial,
        tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive,
        source.images.open() as read,
    ):
        for row in rows.tolist():
            content = read(row)
            if not isinstance(content, bytes):
                raise InputError(f"{source.images.name(row)} is no encoded image")
            above = f"{SPLITS[source.split[row]]}/" if source.split is not None else ""
            entry = tarfile.TarInfo(f"{above}{source.classes[source.labels[row]]}/{_file(source, row)}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _file(source: Source, row: int) -> str:
    """The image's name below its class folder."""
    name, label = source.images.name(row), source.classes[source.labels[row]]
    return imagefolder.name_in_class(name, label)
