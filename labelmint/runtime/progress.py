"""Messages and progress of long work. The library logs them; a program decides how they are shown."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from labelmint.runtime.words import duration

logger = logging.getLogger("labelmint")

Count = Callable[[int], object]
"""Receiver of a number of units of work that have just been finished, e.g. `Progress.add`."""

# C0 and C1 controls, line and paragraph separators, marks of writing direction, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text as one line that cannot control a terminal: control characters are written as escapes."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(message: str) -> None:
    """Log one line of progress at level INFO."""
    logger.info("%s", printable(message))


def uncounted(_: int) -> None:
    """The `Count` of work whose progress nobody follows."""


@dataclass(frozen=True)
class Status:
    """How far a loop is. total: number of units in all. per_second: units of this process a second."""

    label: str
    done: int
    total: int
    unit: str
    per_second: float
    note: str = ""

    @property
    def counts(self) -> str:
        return f"{self.done:,} of {self.total:,} {self.unit}"

    @property
    def speed(self) -> str:
        """Empty for units that take longer than a second, e.g. metrics: they differ too much."""
        return f"{self.per_second:,.0f}/s" if self.per_second >= 1 else ""

    @property
    def left(self) -> str:
        return f"{duration((self.total - self.done) / self.per_second)} left"

    def __str__(self) -> str:
        facts = ", ".join(fact for fact in (self.counts, self.speed, self.left) if fact)
        return f"{self.label}: {facts}" + (f" ({self.note})" if self.note else "")


class Display(Protocol):
    """Receiver of progress. interval: least number of seconds between two updates."""

    interval: float

    def update(self, status: Status) -> None:
        """Show the newest status of a loop."""

    def end(self) -> None:
        """Finish after the last status of a loop. Called only where there was one."""


class LogDisplay:
    """Display that logs a line from time to time."""

    interval = 10.0

    def update(self, status: Status) -> None:
        say(str(status))

    def end(self) -> None:
        return


class NoDisplay(LogDisplay):
    """Display that shows nothing: of a worker process, and of a loop within another one."""

    interval = math.inf


_display: Display = LogDisplay()
_outermost: Progress | None = None


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Show progress on `display` within the block."""
    global _display  # noqa: PLW0603
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before


def hide_progress() -> None:
    """Show no progress of this process from now on: it reports to another one."""
    global _display  # noqa: PLW0603
    _display = NoDisplay()


class Progress:
    """Progress of a long loop: a context manager whose `add` counts finished units.

    A loop within another one is not shown.
    """

    def __init__(self, label: str, total: int, unit: str):
        self.label, self.total, self.unit = printable(label), total, unit
        self.done, self.own, self.shown, self.note = 0, 0, 0, ""

    def __enter__(self) -> Progress:
        global _outermost  # noqa: PLW0603
        self.display = _display if _outermost is None else NoDisplay()
        _outermost = _outermost or self
        self.started = self.updated = time.monotonic()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        global _outermost  # noqa: PLW0603
        if _outermost is self:
            _outermost = None
        if self.shown:
            if self.shown < self.done and error is None:
                self._show(time.monotonic())
            self.display.end()

    def resume(self, count: int) -> None:
        """Count units that an earlier process has finished. They say nothing about the speed."""
        self.done += count

    def add(self, count: int) -> None:
        self.done += count
        self.own += count
        self.total = max(self.total, self.done)  # a restarted generator takes more steps than planned
        now = time.monotonic()
        if now - self.updated >= self.display.interval and self.own:
            self._show(now)

    def _show(self, now: float) -> None:
        self.updated, self.shown = now, self.done
        speed = self.own / (now - self.started)
        self.display.update(Status(self.label, self.done, self.total, self.unit, speed, printable(self.note)))
