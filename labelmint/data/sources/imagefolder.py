"""Reader of the user's own images: a directory, a zip or a tar archive."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.reading import Choice, Reading
from labelmint.data.reading.tree import Tree, open_tree
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.runtime.errors import InputError


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    path = Path(str(dataset.path))
    checksums = {f"{path.name} (sha256)": check_sha256(path, dataset.sha256)} if dataset.sha256 else {}
    tree = open_tree(path, scratch, dataset.encoding)
    reading = read_tree(tree, path, Choice.of(dataset), imported=bool(checksums))
    return replace(source_of(tree, reading, dataset.name, path), checksums=checksums)


def read_from(path: Path, name: str, scratch: Path, choice: Choice | None = None) -> Source:
    """Read a folder, or a zip or tar archive, as the data set `name`. Raises: InputError."""
    tree = open_tree(path, scratch)
    return source_of(tree, read_tree(tree, path, choice or Choice()), name, path)


def source_of(tree: Tree, reading: Reading, name: str, path: Path) -> Source:
    """The data set `name` with the images of a reading of `tree`, which is at `path`."""
    number = {label: index for index, label in enumerate(reading.classes)}
    split = [entry.split for entry in reading.entries if entry.split is not None]
    return Source(
        title=f"{name} ({path.name})",
        licence="the owner's",
        classes=reading.classes,
        labels=np.array([number[entry.label] for entry in reading.entries], np.int64),
        images=tree.images([entry.index for entry in reading.entries]),
        split=np.array(split, np.uint8) if reading.has_splits else None,
        notes=[f"left out: {each}" for each in reading.left_out],
        reading={
            "labels": reading.labels,
            "class_order": reading.class_order,
            "left_out": reading.left_out,
        },
    )


def check_sha256(path: Path, expected: str) -> str:
    """Compute the SHA-256 of a file in hex. Raises: InputError when it is not `expected`."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing; run `labelmint import` again, or remove dataset.sha256 to read a folder"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: checksum is {found[:16]}…, but dataset.sha256 is {expected[:16]}…; "
            "the file changed, run `labelmint import` again"
        )
    return found
