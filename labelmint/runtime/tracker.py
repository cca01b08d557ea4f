"""Interface through which a stage reports parameters, metrics, figures and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Receiver of a run's records."""

    def log_params(self, params: Mapping[str, Any]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None: ...

    def log_file(self, path: Path, folder: str = "") -> None: ...

    def child(self, name: str) -> Tracker:
        """Tracker of one part of the work, such as one class."""
        return self

    def page(self) -> str:
        """URL of the records of the run that the stage is a part of; empty if there are none yet."""
        return ""


class NullTracker(Tracker):
    """Tracker that discards everything, for tests and for callers that keep no record."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        return

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        return

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None:
        return

    def log_file(self, path: Path, folder: str = "") -> None:
        return
