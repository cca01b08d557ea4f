"""What a stage may say while it works; who listens is not its business."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None: ...

    def log_file(self, path: Path, folder: str = "") -> None: ...


class NullTracker(Tracker):
    """Listens to nothing: for tests and for callers that keep no record."""


def say(message: str) -> None:
    """One line of progress for the person who is watching."""
    print(message, file=sys.stderr, flush=True)
