"""Labels from a table in the tree: metadata.csv or .jsonl as of Hugging Face's imagefolder, or any CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from labelmint.data.reading.reading import Image
from labelmint.data.reading.tree import Tree
from labelmint.data.source import BadImageError
from labelmint.data.stored_images import FolderImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import counted, did_you_mean, shortened

_SUFFIXES = (".csv", ".tsv", ".jsonl")
_FILE_COLUMNS = ("file_name", "filename", "file")
_LABEL_COLUMNS = ("label", "labels", "class", "category", "target")
_SPLIT_COLUMNS = ("split", "partition", "set", "subset", "fold")
_MOST_TABLES = 20
"""Tables that are tried: more of them are annotations of single images."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class LabelTable:
    """Labels of images by index. text: FILE:FILE_COLUMN,LABEL_COLUMN. unknown: rows that name no image.

    files: the table itself in the tree.
    """

    text: str
    labels: dict[int, str]
    unknown: int
    files: frozenset[int]


@dataclass(frozen=True)
class Found:
    """Tables that label images, and why those that only seem to do so cannot be used."""

    tables: list[LabelTable]
    problems: list[str]


class _OtherTableError(InputError):
    """A file that is no table, or one that does not name the images."""


def read_table(text: str, tree: Tree, images: list[Image], where: Path) -> LabelTable:
    """Read the table that the user names: FILE or FILE:FILE_COLUMN,LABEL_COLUMN.

    FILE is a path in the tree, the name of a file of several folders in it, or a path on this machine.
    Raises: InputError.
    """
    file, columns = _split_text(text)
    if inside := _named(file, tree):
        return _Reader(tree, _Finder(images), where).read(file, inside, columns)
    if not Path(file).is_file():
        known = [name for name in tree.names if name.lower().endswith(_SUFFIXES)]
        raise InputError(f"{where}: --labels {file} is neither in it nor a file{did_you_mean(file, known)}")
    outside = Tree([file], [], lambda _: FolderImages(Path(), [file]))
    table = _Reader(outside, _Finder(images), where).read(file, {file: 0}, columns)
    return replace(table, files=frozenset())


def find_tables(tree: Tree, images: list[Image], where: Path) -> Found:
    """Tables of the tree that label most of what they list, with two classes or more."""
    found = Found([], [])
    files = sorted({PurePosixPath(name).name for name in tree.names if name.lower().endswith(_SUFFIXES)})
    if not 0 < len(files) <= _MOST_TABLES:
        return found
    reader = _Reader(tree, _Finder(images), where)
    for file in files:
        try:
            table = reader.read(file, _named(file, tree), None)
        except _OtherTableError:
            continue
        except InputError as error:
            found.problems.append(str(error))
            continue
        if 2 <= len(set(table.labels.values())) <= len(table.labels) / 2:
            found.tables.append(table)
    return found


def _split_text(text: str) -> tuple[str, tuple[str, str] | None]:
    file, _, columns = text.rpartition(":")
    if not file or "," not in columns:
        return text, None
    first, _, second = columns.partition(",")
    return file, (first.strip(), second.strip())


def _named(file: str, tree: Tree) -> dict[str, int]:
    """Indices of the files at a path of the tree, or else of this name, by path in order."""
    found = sorted((name, index) for index, name in enumerate(tree.names) if name.split("/")[-1] == file)
    return {name: index for index, name in enumerate(tree.names) if name == file} or dict(found)


@dataclass(frozen=True)
class _Reader:
    """Reader of tables in `tree`. where: for messages."""

    tree: Tree
    finder: _Finder
    where: Path

    def read(self, file: str, paths: dict[str, int], columns: tuple[str, str] | None) -> LabelTable:
        """Read the tables `paths`, which the user calls `file`. columns: of files and of labels, if known."""
        labels: dict[int, str] = {}
        unknown = 0
        for path, number in paths.items():
            try:
                rows = _rows(self.tree.content(number), path, self.where)
            except BadImageError as error:
                raise InputError(f"{self.where}: {path} {error}") from error
            file_column = columns[0] if columns else _file_column(rows)
            _require_column(file_column, rows, path, self.where)
            folder = PurePosixPath(path).parent
            indices = [self.finder.find(row[file_column], folder, self.where) for row in rows]
            unknown += (missing := indices.count(None))
            if 2 * missing > len(rows):
                raise _OtherTableError(
                    f"{self.where}: column '{file_column}' of {path} names an image in "
                    f"{len(rows) - missing:,} of {counted(len(rows), 'row')}; name its columns with "
                    f"--labels {file}:FILE_COLUMN,LABEL_COLUMN"
                )
            label_column = columns[1] if columns else _label_column(rows, file_column, file, self.where)
            _require_column(label_column, rows, path, self.where)
            for row, index in zip(rows, indices):
                label = normalize("NFC", row[label_column].strip())
                if index is None or not label:
                    continue
                if (known := labels.setdefault(index, label)) != label:
                    raise InputError(
                        f"{self.where}: {path} labels '{row[file_column]}' as '{known}' and as '{label}'; "
                        "an image has one class"
                    )
        return LabelTable(f"{file}:{file_column},{label_column}", labels, unknown, frozenset(paths.values()))


def _rows(content: bytes, name: str, where: Path) -> Rows:
    """Rows of a table, at least one. Raises: InputError."""
    try:
        text = content.decode("utf-8-sig")
        if name.lower().endswith(".jsonl"):
            rows = [_as_text(json.loads(line)) for line in text.splitlines() if line.strip()]
        else:
            first = text.splitlines()[0] if text else ""
            delimiter = max(",;\t", key=first.count)
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            rows = [
                {str(key): value or "" for key, value in row.items() if key is not None} for row in reader
            ]
    except (ValueError, TypeError, AttributeError, csv.Error, RecursionError) as error:
        raise _OtherTableError(
            f"{where}: {name} cannot be read as a table ({error}); save it as UTF-8"
        ) from error
    if not rows:
        raise _OtherTableError(f"{where}: {name} has no rows; add a row for each image")
    return rows


def _as_text(row: dict[str, object]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _file_column(rows: Rows) -> str:
    return next((name for name in _FILE_COLUMNS if name in rows[0]), next(iter(rows[0])))


def _label_column(rows: Rows, file_column: str, file: str, where: Path) -> str:
    """Column of the labels by its name, or by there being no other."""
    others = [name for name in rows[0] if name != file_column]
    usual = [name for name in others if name.lower() in _LABEL_COLUMNS]
    fitting = usual if len(usual) == 1 else others
    if len(fitting) != 1:
        raise InputError(
            f"{where}: which column of {file} has the labels, {shortened(others, 8)}? "
            f"name it with --labels {file}:{file_column},COLUMN"
        )
    if fitting[0].lower() in _SPLIT_COLUMNS:
        raise InputError(
            f"{where}: column '{fitting[0]}' of {file} says splits by its name, not classes; "
            f"if these are the classes, say so with --labels {file}:{file_column},{fitting[0]}"
        )
    return fitting[0]


def _require_column(column: str, rows: Rows, path: str, where: Path) -> None:
    if any(column not in row for row in rows):
        raise InputError(
            f"{where}: {path} has no column '{column}'{did_you_mean(column, rows[0])} in each row; "
            f"it has {shortened(list(rows[0]), 8)}"
        )


class _Finder:
    """Images by what a table may call them: a path, a name, or a name without its ending."""

    def __init__(self, images: Iterable[Image]) -> None:
        self.paths: dict[str, int] = {}
        self.names: dict[str, list[Image]] = defaultdict(list)
        for image in images:
            self.paths.setdefault(image.name, image.index)
            path = PurePosixPath(image.name)
            for key in {path.name, path.stem}:
                self.names[key].append(image)

    def find(self, text: str, folder: PurePosixPath, where: Path) -> int | None:
        """Index of the image that a table in `folder` calls `text`. Raises: InputError if several fit."""
        name = normalize("NFC", text.strip().replace("\\", "/")).removeprefix("./")
        for path in (str(folder / name), name):
            if path in self.paths:
                return self.paths[path]
        fitting = self.names.get(name, [])
        if len(fitting) > 1:
            below = [image for image in fitting if image.parts[: len(folder.parts)] == folder.parts]
            fitting = below if len(below) == 1 else fitting
        if len(fitting) > 1:
            raise InputError(
                f"{where}: '{text}' of the table may be {shortened([image.name for image in fitting])}; "
                "give the paths below the table's folder"
            )
        return fitting[0].index if fitting else None
