"""The folder of all spools: where it is, what it has, and the locks in it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPOOL = Path(".tracking")
"""Folder of all spools, relative to the project's."""
ERROR = "error"
"""File in SPOOL: why the last attempt to reach MLflow failed."""
LAST_RUN = "last_run.json"
"""File in SPOOL: MLflow's ids of the last pipeline run."""
RUN_ID = "mlflow.json"
"""File in a spool: MLflow's ids of its run and of the experiment, as soon as MLflow has the run."""


def waiting(root: Path) -> list[Path]:
    """Folders of the spools that are not shipped to their end, oldest first."""
    return sorted((path.parent for path in (root / SPOOL).glob("*/run.json")), key=lambda path: path.name)


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a file lock that ends with the process.

    Yields False if the lock's folder does not exist or, without `wait`, if another process holds the lock.
    """
    try:
        file = path.open("ab")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
