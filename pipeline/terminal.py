"""What a terminal shows of the library's messages and progress: one line each, on stderr."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from labelmint.runtime.progress import LogDisplay, logger, printable, shown_by


class _Lines(logging.Handler):
    """Handler that prints each record as one line on stderr, whichever file that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


class RenewedLine:
    """Display of progress as one line of the terminal that is overwritten."""

    interval = 0.2

    def update(self, line: str) -> None:
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        print(file=sys.stderr)


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

    Progress renews its line on a terminal, and is plain lines now and then elsewhere.
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
        with shown_by(RenewedLine() if sys.stderr.isatty() else LogDisplay()):
            yield
    finally:
        logger.propagate = propagates
        logger.setLevel(level)
        logger.removeHandler(handler)
