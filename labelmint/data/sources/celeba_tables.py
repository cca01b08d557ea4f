"""CelebA's tables of annotations: as published, .txt with a head of two lines or none, or Kaggle's .csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened

_FOLDERS = ("", "Anno", "Eval")  # the latter two as in the published drive
_ADVICE = "fetch it again"


@dataclass(frozen=True)
class Table:
    """A table with a row for each of N images.

    names: of the images. columns: their names, empty where the file has none. values: int64 (N, C).
    """

    path: Path
    names: list[str]
    columns: list[str]
    values: np.ndarray

    def of(self, names: list[str]) -> np.ndarray:
        """Values of these images, in their order. Raises: InputError when one has no row."""
        if self.names == names:
            return self.values
        row_of = {name: row for row, name in enumerate(self.names)}
        if missing := [name for name in names if name not in row_of]:
            raise InputError(f"{self.path}: no row for {shortened(missing)}; {_ADVICE}")
        return self.values[[row_of[name] for name in names]]


def read_table(folder: Path, name: str, has_head: bool = True) -> Table:
    """Read a table, e.g. list_attr_celeba.txt, or .csv.

    has_head: whether the .txt begins with the number of rows and the names of the columns; a .csv names them.
    Raises: InputError with the line at fault.
    """
    paths = [folder / inner / f"{name}.{suffix}" for suffix in ("txt", "csv") for inner in _FOLDERS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"{paths[0]} (or .csv) is missing; it is one of CelebA's annotation files")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text table; {_ADVICE}") from error
    is_csv = path.suffix == ".csv"
    head = lines[: 1 if is_csv else 2 * has_head]
    rows = [line.split("," if is_csv else None) for line in lines[len(head) :] if line.strip()]
    if not rows:
        raise InputError(f"{path}: no rows; {_ADVICE}")
    if len(head) == 2 and head[0].strip() != str(len(rows)):
        raise InputError(
            f"{path}: the first line declares {head[0].strip()} rows, the file has {len(rows)}; {_ADVICE}"
        )
    width = len(rows[0])
    values = np.empty((len(rows), width - 1), np.int64)
    for number, row in enumerate(rows):
        try:
            values[number] = row[1:]
        except ValueError as error:
            raise InputError(
                f"{path}, line {number + len(head) + 1}: expected a name and {width - 1} integers, "
                f"got '{' '.join(row)[:60]}'; {_ADVICE}"
            ) from error
    columns = head[0].split(",")[1:] if is_csv else head[-1].split() if head else []
    return Table(path, [row[0] for row in rows], columns, values)
