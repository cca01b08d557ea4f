"""What a tree of labelled images is understood to be, and the user's choice where several readings fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelmint.data.file_names import is_text
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TRAIN
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import counted, shortened

_MOST_NAME_BYTES = 200  # file systems take 255


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a tree: its index in the listing, and the parts of its path, normalized to NFC."""

    index: int
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class Entry:
    """One labelled image of a tree.

    split: None where the tree has no splits. file: name below the class. index: in the listing.
    """

    split: int | None
    label: str
    file: str
    index: int


@dataclass(frozen=True)
class LeftOut:
    """Files that a reading does not take. noun: "file" or "image". which: e.g. "in test/". reason: why."""

    noun: str
    which: str
    reason: str
    indices: list[int]

    def __str__(self) -> str:
        return f"{counted(len(self.indices), self.noun)} {self.which}: {self.reason}"


@dataclass(frozen=True)
class Draft:
    """A reading whose classes are not checked yet.

    labels: where they come from, for the user. class_folders: paths of the folders that contain class
    folders. tables: files that give the labels.
    """

    labels: str
    entries: list[Entry]
    left_out: list[LeftOut]
    class_folders: frozenset[tuple[str, ...]] = frozenset()
    tables: frozenset[int] = frozenset()

    def without(self, others: list[LeftOut]) -> Draft:
        """The draft that leaves other files out too, but for its tables."""
        kept = [replace(kind, indices=[i for i in kind.indices if i not in self.tables]) for kind in others]
        return replace(self, left_out=self.left_out + [kind for kind in kept if kind.indices])


@dataclass(frozen=True)
class Reading:
    """Classes, splits, and what is left out. Each file of the tree is an entry or left out.

    labels: where they come from, for the user. entries: ordered by split, class and file.
    left_out: `LeftOut` in words.
    """

    labels: str
    classes: list[str]
    entries: list[Entry]
    left_out: list[str]
    class_order: str = "natural"

    @property
    def has_splits(self) -> bool:
        return self.entries[0].split is not None

    @property
    def summary(self) -> str:
        """The reading in one line, to choose among several."""
        counts = Counter(entry.split for entry in self.entries)
        splits = [
            f"{counted(counts[part], 'image')} for {name}" for part, name in enumerate(SPLITS) if counts[part]
        ]
        parts = splits if self.has_splits else [counted(len(self.entries), "image")]
        return "; ".join(
            [f"{len(self.classes):,} classes ({shortened(self.classes)}), {', '.join(parts)}"]
            + [f"left out: {each}" for each in self.left_out]
        )

    @classmethod
    def of(cls, draft: Draft, where: Path) -> Reading:
        """Check the classes of a draft, and order them. where: for messages. Raises: InputError."""
        classes = class_names(draft.entries, where)
        number = {label: index for index, label in enumerate(classes)}
        entries = sorted(
            draft.entries, key=lambda entry: (entry.split or 0, number[entry.label], entry.file, entry.index)
        )
        return cls(draft.labels, classes, entries, [str(each) for each in draft.left_out])


@dataclass(frozen=True)
class Choice:
    """What the user says about a tree, as `dataset.layout`, `split_folders` and `labels`."""

    layout: str | None = None
    split_folders: tuple[str, ...] = ()
    labels: str | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Choice:
        return cls(dataset.layout, tuple(dataset.split_folders), dataset.labels)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of `dataset`."""
        return asdict(self) | {"split_folders": list(self.split_folders)}

    @property
    def parts(self) -> list[tuple[int, str]]:
        """(split, folder) of each of `split_folders`."""
        pairs = [each.split("=", 1) for each in self.split_folders]
        return [(SPLITS.index(name), folder.strip("/")) for name, folder in pairs]

    def __str__(self) -> str:
        """The flags of `labelmint import`."""
        flags = [f"--layout {self.layout}"] if self.layout else []
        flags += [f"--split {','.join(self.split_folders)}"] if self.split_folders else []
        return " ".join(flags + ([f"--labels {self.labels}"] if self.labels else []))


@dataclass(frozen=True)
class Proposal:
    """A choice with which a tree can be read. summary: the reading in one line."""

    choice: Choice
    summary: str


class UnclearError(InputError):
    """No reading is the only one that fits. proposals: those that fit, the likely one first."""

    def __init__(self, problem: str, proposals: list[Proposal]) -> None:
        flags = " or ".join(str(each.choice) for each in proposals)
        super().__init__(
            f"{problem}; decide with {flags} (settings of `dataset`: layout, split_folders, labels)"
        )
        self.problem, self.proposals = problem, proposals


def natural_key(name: str) -> list[tuple[int, str]]:
    """Key that sorts names with numbers by value: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (0, part)
        for place, part in enumerate(parts)
    ]


def class_names(entries: Iterable[Entry], where: Path) -> list[str]:
    """Class names in natural order. where: for messages.

    Raises: InputError when there is one class only, a name cannot be that of a folder, two names differ in
    case only, or a class has no training image.
    """
    names = sorted({entry.label for entry in entries}, key=lambda name: (natural_key(name), name))
    if len(names) == 1:
        raise InputError(
            f"{where}: '{names[0]}' is the only class, and a classifier needs two; "
            "put the images of each class into a folder of its own"
        )
    if odd := [name for name in names if not _can_be_folder(name)]:
        raise InputError(
            f"{where}: class {shortened(list(map(repr, odd)))} cannot be a folder's name; rename it"
        )
    folded = Counter(name.casefold() for name in names)
    if similar := [name for name in names if folded[name.casefold()] > 1]:
        raise InputError(f"{where}: classes {shortened(similar)} differ in case only; rename one")
    trained = {entry.label for entry in entries if entry.split in (None, TRAIN)}
    if missing := [name for name in names if name not in trained]:
        raise InputError(f"{where}: class {shortened(missing)} has no training images; add some or remove it")
    return names


def _can_be_folder(name: str) -> bool:
    """Whether a class can be a folder of the tar that `import` writes, and of exported images."""
    return (
        is_text(name)
        and {"/", "\\", "\0"}.isdisjoint(name)
        and name.strip() not in ("", ".", "..")
        and len(name.encode()) <= _MOST_NAME_BYTES
    )
