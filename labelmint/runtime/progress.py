"""What a stage may say while it works; who listens is not its business."""

from __future__ import annotations

import re
import sys
import time

# Of C0 and C1, of lines and paragraphs, of the direction of writing, and halves of characters.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """In one line that commands no terminal, whatever names it quotes: characters of control as escapes, such as \\x1b."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(message: str) -> None:
    """One line of progress for the person who is watching."""
    print(printable(message), file=sys.stderr, flush=True)


class Progress:
    """How far a long loop has come: a line that renews itself on a terminal, plain lines now and then elsewhere."""

    def __init__(self, label: str, total: int, unit: str):
        self.label, self.total, self.unit = printable(label), total, unit
        self.done, self.shown, self.note = 0, False, ""
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        self.begun = self.spoken = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self.terminal and self.shown:
            print(file=sys.stderr)

    def add(self, count: int) -> None:
        self.done += count
        self.total = max(self.total, self.done)  # a generator that began anew does more than was planned
        now = time.monotonic()
        if now - self.spoken < (0.2 if self.terminal else 10.0):
            return
        self.spoken, self.shown = now, True
        speed = self.done / (now - self.begun)
        left = (self.total - self.done) / speed
        line = f"{self.label}: {self.done:,} of {self.total:,} {self.unit}, {speed:,.0f}/s, {left:.0f} s left"
        line += f" ({printable(self.note)})" if self.note else ""
        print(
            f"\r\033[K{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True
        )
