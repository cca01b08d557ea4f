"""Settings that a flow run is started with."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labelmint.runtime.atomic_files import save_bytes
from pipeline.settings import experiments
from pipeline.settings import schema as settings


@contextmanager
def overridden(root: Path, names: Sequence[str], percents: Sequence[int], restore: bool) -> Iterator[settings.Params]:
    """Write experiments, by their names, and percents into params.yaml, as `labelmint use` does, since DVC reads its settings there.

    restore: put the file back at the end, for a run that is to change nothing. Raises: InputError; then the file is as it was.
    """
    path = root / settings.PARAMS_FILE
    before = path.read_bytes()
    try:
        if names:
            experiments.use(root, experiments.Choice.named(names))
        if percents:
            _set_percents(path, list(percents))
        loaded = settings.load(path)
    except BaseException:
        save_bytes(path, before)
        raise
    try:
        yield loaded
    finally:
        if restore:
            save_bytes(path, before)


def _set_percents(path: Path, percents: list[int]) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 200
    content = yaml.load(path.read_text())
    content["percents"][:] = percents
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    save_bytes(path, buffer.getvalue().encode())
