"""Settings that a run of the flow is started with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import save_bytes
from pipeline.project import PARAMS_FILE
from pipeline.settings import experiments, schema


@contextmanager
def overridden(
    root: Path, names: Sequence[str], percents: Sequence[int], restore: bool
) -> Iterator[schema.Params]:
    """Write experiments and percents into params.yaml, where DVC reads settings, as `labelmint use` does.

    restore: put the file back at the end, for a run that changes nothing. Raises InputError, with the file
    unchanged.
    """
    path = root / PARAMS_FILE
    before = path.read_bytes()

    def set_percents(content: Any) -> None:
        content["percents"][:] = percents

    try:
        if names:
            experiments.use(root, experiments.Choice.named(names))
        if percents:
            save_bytes(path, experiments.edited(path.read_text(), set_percents).encode())
        loaded = schema.load(path)
    except BaseException:
        save_bytes(path, before)
        raise
    try:
        yield loaded
    finally:
        if restore:
            save_bytes(path, before)
