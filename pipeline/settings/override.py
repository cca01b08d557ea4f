"""Settings that a run of the flow is started with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import save_bytes
from pipeline.project import PARAMS_FILE
from pipeline.settings import experiments, schema

_logger = logging.getLogger(__name__)


@contextmanager
def overridden(
    root: Path, names: Sequence[str], changes: dict[str, Any], restore: bool
) -> Iterator[schema.Params]:
    """Write experiments and single settings into params.yaml, where DVC reads them, for the block.

    Experiments stay, as `labelmint use` leaves them; `changes` are of this run and are taken back at its end,
    however it ends. A file that somebody else has changed meanwhile is left as it is, with a warning.

    changes: nested. restore: take the experiments back too, for a run that changes nothing. Raises
    InputError, with the file unchanged.
    """
    path = root / PARAMS_FILE
    before = path.read_bytes()
    try:
        choice = experiments.Choice.named(names)
        if names and restore:
            save_bytes(path, experiments.rendered(root, choice).encode())  # and keeps nothing beside it
        elif names:
            experiments.use(root, choice)
        after = before if restore else path.read_bytes()
        if changes:
            experiments.use(root, None, changes)
        loaded = schema.load(path)
        written = path.read_bytes()
    except BaseException:
        save_bytes(path, before)
        raise
    try:
        yield loaded
    finally:
        _put_back(path, written, after)


def _put_back(path: Path, written: bytes, after: bytes) -> None:
    """Write `after` if the file still holds what this run has written."""
    if written == after:
        return
    if path.exists() and path.read_bytes() == written:
        save_bytes(path, after)
    else:
        _logger.warning("%s was edited during the run and keeps these changes", path)
