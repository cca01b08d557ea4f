"""What a terminal shows of the library's messages and progress, on stderr.

Progress is one line that the next one overwrites: a bar and the facts that fit the terminal's width. It is
ended by a carriage return, so that the cursor stays at its start and a message of any process takes its
place. Without a terminal there are plain lines.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelmint.runtime.progress import Display, LogDisplay, Status, logger, printable, shown_by

if TYPE_CHECKING:
    from rich.console import Console

_MIN_BAR, _MAX_BAR = 8, 30
"""Cells of the bar."""


def console(*, stderr: bool = False) -> Console:
    """Rich's console of stdout or stderr, without any escape code if NO_COLOR is set."""
    from rich.console import Console

    return Console(
        stderr=stderr,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        force_jupyter=False,
    )


class Bar:
    """Display of progress as a line of the terminal that is overwritten.

    stage: number of the stage and of all stages, e.g. "5/23"; may be empty.
    """

    interval = 0.2

    def __init__(self, stage: str = ""):
        self.stage = stage

    def update(self, status: Status) -> None:
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.segment import Segment, Segments

        screen = console(stderr=True)
        width = screen.width - 1  # in its last column a terminal may start a new line
        title, facts = arranged(status, self.stage, width)
        left = width - cell_len(title) - cell_len(facts) - 2
        bar = ProgressBar(status.total, status.done, width=max(_MIN_BAR, min(_MAX_BAR, left)))
        line = [Segment(f"{title} "), *screen.render(bar), Segment(f" {facts}")]
        line = Segment.adjust_line_length(line, width)
        screen.print(Segments([*line, Segment("\r")]))

    def end(self) -> None:
        print(file=sys.stderr)


def arranged(status: Status, stage: str, width: int) -> tuple[str, str]:
    """Title and facts of a line of progress that leave room for a bar in `width` cells."""
    from rich.cells import cell_len

    counts, speed, left, note = status.counts, status.speed, status.left, status.note
    title = _shortened_in_the_middle(" ".join(filter(None, (stage, status.label))), max(16, width // 3))
    room = width - cell_len(title) - _MIN_BAR - 2
    choices = ([counts, speed, left, note], [counts, speed, left], [counts, left], [left])
    lines = (", ".join(filter(None, choice)) for choice in choices)
    return title, next((line for line in lines if cell_len(line) <= room), "")


def _shortened_in_the_middle(text: str, width: int) -> str:
    """Text of at most `width` cells: names of arms and files differ at their ends."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    mark = "..."
    tail = text[-((width - len(mark)) // 2) :]
    while cell_len(tail) > (width - len(mark)) // 2:
        tail = tail[1:]
    return set_cell_size(text, width - len(mark) - cell_len(tail)) + mark + tail


class _Lines(logging.Handler):
    """Handler that prints each record on stderr, whichever file that is at the time.

    On a terminal words are not broken, and what is left of a line of progress is overwritten.
    """

    def emit(self, record: logging.LogRecord) -> None:
        message = printable(record.getMessage())
        # In one piece: with PYTHONUNBUFFERED, print would let another process write before the line's end.
        sys.stderr.write(f"{_wrapped(message) if is_terminal() else message}\n")
        sys.stderr.flush()


def _wrapped(message: str) -> str:
    """Message as lines that fill the terminal's width, of whole words."""
    from rich.cells import set_cell_size
    from rich.text import Text

    screen = console(stderr=True)
    width = screen.width - 1
    return "\n".join(set_cell_size(line.plain, width) for line in Text(message).wrap(screen, width))


def is_terminal() -> bool:
    """Whether stderr is a terminal whose lines can be overwritten."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def display(stage: str = "") -> Display:
    """The display of progress on stderr. stage: see Bar."""
    return Bar(stage) if is_terminal() else LogDisplay()


def write_utf8() -> None:
    """Make output independent of the locale: UTF-8 into files and pipes.

    A terminal keeps its encoding, in which characters that it lacks are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Print the library's messages and progress on stderr within the block.

    Records do not go to the root logger as well: Prefect and MLflow install handlers there.
    A block within another one changes nothing.
    """
    if any(isinstance(each, _Lines) for each in logger.handlers):
        yield
        return
    handler, level, propagates = _Lines(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with shown_by(display()):
            yield
    finally:
        logger.propagate = propagates
        logger.setLevel(level)
        logger.removeHandler(handler)
