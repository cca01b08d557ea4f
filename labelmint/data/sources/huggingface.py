"""Reader of local Hugging Face data sets: Parquet files, or a folder made by `Dataset.save_to_disk`.

Images are a column of {bytes, path}, labels one of class numbers or words. Class names come from the features
that are stored with the data. What fits in several ways is refused.
Source: https://huggingface.co/docs/datasets, "Image" and "ClassLabel" features.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from labelmint.data.classes import check_names, distinct_names, number_classes
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLIT_NAMES, TEST, TRAIN, Source
from labelmint.data.sources.huggingface_columns import Columns, find_columns
from labelmint.data.table_files import TableFile, TableImages, open_table
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened

_NAMES = ("training", "validation", "test")


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    path = Path(str(dataset.path))
    with _damage_reported(path):
        tables, splits = _find_tables(path)
        columns = find_columns(tables, path, dataset.label_column)
        split = np.repeat(splits, [table.rows for table in tables])
        classes, labels = _read_labels(tables, columns, split, path)
    notes = [*columns.notes, *_describe_unlabelled(labels, split, path)]
    if len(set(splits)) == 1 and splits[0] > TRAIN:
        notes.append(f"only a {_NAMES[splits[0]]} split is there; it is used as all images")
    check_names(classes, path)
    rows = np.flatnonzero(labels >= 0)
    return Source(
        title=f"{dataset.name} ({path.name})",
        licence="the owner's",
        classes=classes,
        labels=labels[rows],
        images=TableImages(
            [table.path for table in tables], [table.group_sizes for table in tables], columns.image, rows
        ),
        split=split[rows].astype(np.uint8) if len(set(splits)) > 1 else None,
        notes=notes,
    )


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turn the errors of pyarrow about damaged files into InputError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: damaged Parquet or Arrow data ({reason}); save it again") from error


def _find_tables(path: Path) -> tuple[list[TableFile], list[int]]:
    """All data files below `path`, ordered by split, and their splits; -1 for all where names say none.

    Raises: InputError when there is no file, when some belong to other data sets, or to no split.
    """
    found = [path] if path.is_file() else _files(path, "parquet") or _files(path, "arrow")
    if not found:
        raise InputError(
            f"{path}: no Parquet or Arrow files there; set dataset.path to a folder that has them"
        )
    places = {file: _place(file, path) for file in found}
    if len(names := sorted({name for name, _ in places.values()})) > 1:
        raise InputError(
            f"{path}: {len(names)} configurations, {shortened([each or '.' for each in names])}; "
            "set dataset.path to the folder or file of one"
        )
    splits = {split for _, split in places.values()}
    if len(splits) > 1 and None in splits:
        outside = [file.name for file, (_, split) in places.items() if split is None]
        raise InputError(
            f"{path}: {shortened(outside)} belongs to no split by its name, but other files do; "
            "rename it, e.g. train-1.parquet, or move it away"
        )
    if len(splits) > 1 and TRAIN not in splits:
        raise InputError(f"{path}: has test and validation data, but no training data; add train-*.parquet")
    found.sort(key=lambda file: places[file][1] or 0)
    tables = [open_table(file) for file in found]
    expected = tables[0].schema.names
    if different := [table.path.name for table in tables if table.schema.names != expected]:
        raise InputError(
            f"{path}: {shortened(different)} has other columns than {found[0].name}; "
            "keep one data set per folder"
        )
    return tables, [-1 if (split := places[file][1]) is None else split for file in found]


def _files(folder: Path, suffix: str) -> list[Path]:
    """Data files at any depth, without hidden ones and those that `datasets` caches."""
    return [
        file
        for file in sorted(folder.rglob(f"*.{suffix}"))
        if not file.name.startswith("cache-")
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _place(file: Path, root: Path) -> tuple[str, int | None]:
    """Name of the data set and split of a file: default/train/0.parquet, or en-train-00000-of-00002.parquet.

    Both are in the names of folders and in the words of the file's name up to the split.
    """
    names, split = [], None
    for folder in file.relative_to(root).parts[:-1] if file != root else ():
        found = SPLIT_NAMES.get(folder.lower().removeprefix("partial-"))
        if found is None:
            names.append(folder)
        split = found if split is None else split
    words = [word for word in re.split(r"[\W\d_]+", file.stem.lower()) if word]
    where = next((number for number, word in enumerate(words) if word in SPLIT_NAMES), None)
    if split is None and where is not None:
        split = SPLIT_NAMES[words[where]]
        names += words[:where]
    return "/".join(names), split


def _read_labels(
    tables: list[TableFile], columns: Columns, split: np.ndarray, path: Path
) -> tuple[list[str], np.ndarray]:
    """Classes, and the labels of all rows, int64 (N,), -1 where there is none."""
    values, labelled = _values(tables, columns, path)
    if values.dtype.kind == "U":
        labelled &= values != ""
    elif columns.classes is not None:
        labelled &= values >= 0
    else:
        # -1 may be a class: it says that there is no label where a whole split has nothing else.
        for part in np.unique(split):
            own = labelled & (split == part)
            labelled[own] = bool((values[own] != -1).any())
    labels = np.full(len(values), -1)
    if columns.classes is None:
        classes, labels[labelled] = number_classes(values[labelled])
    else:
        classes, labels[labelled] = distinct_names(columns.classes), values[labelled]
    return classes, labels


def _values(tables: list[TableFile], columns: Columns, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the label column, int64 or text (N,), and whether there is one, bool (N,)."""
    parts = [table.values(columns.label) for table in tables]
    present = np.concatenate([each for _, each in parts])
    cells = np.concatenate([each for each, _ in parts if len(each)] or [np.empty(0, np.int64)])
    if cells.dtype.kind == "b" or (cells.dtype.kind == "O" and isinstance(cells[0], str)):
        cells = cells.astype(str)
    if cells.dtype.kind not in "iuU" or (columns.classes is not None and cells.dtype.kind == "U"):
        kind = tables[0].schema.field(columns.label).type
        raise InputError(
            f"{path}: column '{columns.label}' is {kind}, expected one class number or word per image; "
            "set dataset.label_column"
        )
    values = np.zeros(len(present), cells.dtype if cells.dtype.kind == "U" else np.int64)
    values[present] = cells
    return values, present


def _describe_unlabelled(labels: np.ndarray, split: np.ndarray, path: Path) -> list[str]:
    """Sentences about images without a label. Raises: InputError when no training image has one."""
    notes = []
    for part in np.unique(split).tolist():
        own = labels[split == part]
        missing, name = int((own < 0).sum()), _NAMES[max(part, TRAIN)]
        if missing == len(own) and part <= TRAIN:
            raise InputError(f"{path}: the {name} images have no labels; set dataset.label_column")
        if missing == len(own):
            instead = ": held out from train instead" if part == TEST else " and is left out"
            notes.append(f"the {name} split has no labels (-1){instead}")
        elif missing:
            notes.append(f"{missing:,} of {len(own):,} {name} images have no label and are left out")
    return notes
