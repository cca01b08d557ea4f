"""The trackers that spools are shipped to: one module each, named as its switch among `tracking`'s settings.

A module has PACKAGE, the package that it needs, and `connect(root)`, which returns a Destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from labelmint.runtime.errors import InputError

MAIN = "mlflow"
"""The tracker that every spool is shipped to."""


@dataclass(frozen=True)
class Spool:
    """The records of one run so far.

    header: content of run.json: name, start (ms), parent, experiment, tags. events: lines of events.jsonl,
    each with its time (ms). They have metrics and step (and child, the part of the work that they are of),
    params, tags, figure or artifact (each with the name of a file in `files`), or data; see SpoolTracker.
    """

    folder: Path
    header: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def key(self) -> str:
        """Name of the run that no other has."""
        return self.folder.name

    def file(self, event: dict[str, Any]) -> Path:
        """The file of an event."""
        return self.folder / "files" / str(event["file"])


class Destination(Protocol):
    """A tracker.

    Its methods may raise any error. One about the content of the run sets the spool aside (`refusals.py`);
    after any other the spool waits, and is sent again.
    """

    def send(self, spool: Spool, new: list[dict[str, Any]]) -> None:
        """Record the events `new`, the last ones of the spool. Sending an event twice records it once."""

    def finish(self, spool: Spool, status: str, time: int | None) -> None:
        """End the run: FINISHED, FAILED or KILLED. time: when it ended, in ms, or None for now."""

    def answers(self) -> bool:
        """Whether the tracker can be reached at all."""


def connect(name: str, root: Path) -> Destination:
    """The tracker of this name for the project in the folder `root`."""
    return cast(Destination, import_module(f"{__name__}.{name}").connect(root))


def check(names: Sequence[str]) -> None:
    """Raises: InputError if the package of a tracker is not installed."""
    for name in names:
        package = import_module(f"{__name__}.{name}").PACKAGE
        if find_spec(package) is None:
            raise InputError(
                f"tracking.{name}: the package {package} is not installed; "
                f"run `.venv/bin/uv pip install {package}`, or set it to false"
            )
