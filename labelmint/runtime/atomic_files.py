"""Files that are written whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its name once the block is done without error.

    Raises: OSError that names `path`, also where the writer knew only that a write fell short.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with named_os_errors(path):
            yield partial
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def named_os_errors(path: Path) -> Iterator[None]:
    """Errors of the system within the block are about writing `path`, and say so."""
    try:
        yield
    except OSError as error:
        code = error.errno or errno.ENOSPC  # numpy reports a short write without a code
        raise OSError(code, os.strerror(code), str(path)) from error


def save_bytes(path: Path, content: bytes) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def save_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write CSV; floats with six significant digits."""
    with atomic_write(path) as partial, partial.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def save_json(path: Path, content: Any) -> None:
    """Write JSON, keys in the order given, so that equal content has equal bytes. NaN is refused: it is not JSON."""
    save_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """What the block misses or cannot use in `path`, JSON or other text, is said of that file. Raises: InputError."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, csv.Error) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            f"{path}: not what a stage of this version writes ({said}); delete it and run again"
        ) from error


def load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; `dvc repro` makes it") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run again") from error
