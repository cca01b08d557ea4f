"""Messages and progress of long work. The library logs them; a program decides how they are shown."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger("labelmint")

# C0 and C1 controls, line and paragraph separators, marks of writing direction, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text as one line that cannot control a terminal: control characters are written as escapes."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(message: str) -> None:
    """Log one line of progress at level INFO."""
    logger.info("%s", printable(message))


class Display(Protocol):
    """Receiver of progress lines. interval: least number of seconds between two lines."""

    interval: float

    def update(self, line: str) -> None:
        """Show the newest line of a loop."""

    def end(self) -> None:
        """Finish after the last line of a loop. Called only where there was a line."""


class LogDisplay:
    """Display that logs a line from time to time."""

    interval = 10.0

    def update(self, line: str) -> None:
        say(line)

    def end(self) -> None:
        return


_display: Display = LogDisplay()


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Show progress on `display` within the block, also in worker processes that are forked there."""
    global _display  # noqa: PLW0603
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before


class Progress:
    """Progress of a long loop: a context manager whose `add` counts finished units."""

    def __init__(self, label: str, total: int, unit: str):
        self.label, self.total, self.unit = printable(label), total, unit
        self.done, self.shown, self.note = 0, False, ""
        self.display = _display

    def __enter__(self) -> Progress:
        self.started = self.updated = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self.display.end()

    def add(self, count: int) -> None:
        self.done += count
        self.total = max(self.total, self.done)  # a restarted generator takes more steps than planned
        now = time.monotonic()
        if now - self.updated < self.display.interval:
            return
        self.updated, self.shown = now, True
        speed = self.done / (now - self.started)
        left = (self.total - self.done) / speed
        line = f"{self.label}: {self.done:,} of {self.total:,} {self.unit}, {speed:,.0f}/s, {left:.0f} s left"
        self.display.update(line + (f" ({printable(self.note)})" if self.note else ""))
