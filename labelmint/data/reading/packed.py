"""The tar that `labelmint import` writes: its reading is stored in it, so that it is never guessed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelmint.data.reading.reading import Entry, Reading
from labelmint.data.reading.tree import Tree
from labelmint.data.source import SPLITS, TRAIN, BadImageError
from labelmint.runtime.errors import InputError

DESCRIPTION = "labelmint.json"


class _Description(BaseModel):
    """Content of labelmint.json. Files are <class>/<file>, or <split>/<class>/<file>."""

    model_config = ConfigDict(strict=True, extra="forbid")
    version: Literal[1] = 1
    labels: str
    splits: bool
    classes: Annotated[list[str], Field(min_length=2)]
    left_out: list[str]


def describe(reading: Reading) -> bytes:
    """Content of labelmint.json for the tar of a reading."""
    description = _Description(
        labels=reading.labels,
        splits=reading.has_splits,
        classes=reading.classes,
        left_out=reading.left_out,
    )
    return (description.model_dump_json(indent=1) + "\n").encode()


def packed_names(reading: Reading) -> list[str]:
    """Name of each entry in the tar. No two are equal."""
    names: dict[str, None] = {}
    for entry in reading.entries:
        split = "" if entry.split is None else f"{SPLITS[entry.split]}/"
        file = entry.file.replace("\\", "/")  # as archives are read
        name, count = f"{split}{entry.label}/{file}", 1
        while name in names:
            count += 1
            folder, _, last = f"{split}{entry.label}/{file}".rpartition("/")
            name = f"{folder}/{count}-{last}"
        names[name] = None
    return list(names)


def read_packed(tree: Tree, where: Path, imported: bool) -> Reading | None:
    """The reading that was packed, or None for another tree.

    imported: whether `import` wrote it. Before it stored readings, classes were in the order of code points.
    Raises: InputError for a description that does not fit the tree.
    """
    if DESCRIPTION in tree.names:
        return _described(tree, where)
    return _old(tree) if imported else None


def _described(tree: Tree, where: Path) -> Reading:
    try:
        text = tree.content(tree.names.index(DESCRIPTION))
        description = _Description.model_validate_json(text)
    except (ValidationError, BadImageError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{where}: {DESCRIPTION} cannot be read ({reason}); import the images again"
        ) from error
    entries = _entries(tree, description.splits)
    if entries is None or {entry.label for entry in entries} - set(description.classes):
        raise InputError(
            f"{where}: files that {DESCRIPTION} does not describe; remove it, or import the images again"
        )
    number = {label: index for index, label in enumerate(description.classes)}
    entries.sort(key=lambda entry: (entry.split or 0, number[entry.label], entry.file))
    return Reading(description.labels, description.classes, entries, description.left_out)


def _old(tree: Tree) -> Reading | None:
    entries = _entries(tree, True)
    if entries is None or not any(entry.split == TRAIN for entry in entries):
        entries = _entries(tree, False)
    if entries is None or len(classes := sorted({entry.label for entry in entries})) < 2:
        return None
    entries.sort(key=lambda entry: (entry.split or 0, entry.label, entry.file))
    return Reading("one folder per class", classes, entries, [], class_order="code points")


def _entries(tree: Tree, splits: bool) -> list[Entry] | None:
    """Entries by their names, or None where a name does not have enough parts."""
    found = []
    for index, name in enumerate(tree.names):
        if name == DESCRIPTION:
            continue
        parts = name.split("/")
        if len(parts) < 2 + splits or (splits and parts[0] not in SPLITS):
            return None
        split = SPLITS.index(parts[0]) if splits else None
        found.append(Entry(split, parts[splits], "/".join(parts[splits + 1 :]), index))
    return found or None
