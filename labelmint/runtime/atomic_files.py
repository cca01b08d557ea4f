"""Files that are written completely or not at all, and readers that name a damaged file."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Temporary path beside `path`, renamed to `path` when the block ends without an error.

    Raises: OSError that names `path`, also where the writer reports a short write without a code.
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
    """Make every OSError of the block name `path`, which the block writes."""
    try:
        yield
    except OSError as error:
        code = error.errno or errno.ENOSPC  # numpy reports a short write without a code
        raise OSError(code, os.strerror(code), str(path)) from error


def save_bytes(path: Path, content: bytes) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def save_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write CSV with six significant digits of each float."""
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )


def save_json(path: Path, content: Any) -> None:
    """Write JSON with keys in the given order, so that equal content has equal bytes.

    Raises: ValueError that names a number which is NaN or infinite, since JSON has neither.
    """
    if name := _not_finite(content):
        raise ValueError(f"{path}: {name.lstrip('.')} is not a finite number")
    save_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def _not_finite(content: Any, name: str = "") -> str:
    """Name of the first number that is NaN or infinite, e.g. ".rows[2].kid", or an empty string."""
    if isinstance(content, Mapping):
        parts = [(f"{name}.{key}", value) for key, value in content.items()]
    elif isinstance(content, (list, tuple)):
        parts = [(f"{name}[{position}]", value) for position, value in enumerate(content)]
    else:
        return name if isinstance(content, float) and not math.isfinite(content) else ""
    return next((found for each, value in parts if (found := _not_finite(value, each))), "")


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn errors about the content of `path`, such as a missing key, into an InputError that names it."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, csv.Error) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            f"{path}: not what a stage of this version writes ({reason}); delete it and run again"
        ) from error


def load_json(path: Path) -> Any:
    """Content of a JSON file. Raises: InputError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; `dvc repro` makes it") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run again") from error
