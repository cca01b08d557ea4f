"""What stderr shows of the library's messages."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from labelmint.runtime import progress
from labelmint.runtime.progress import Progress, logger, say
from pipeline import terminal
from pipeline.terminal import messages_on_stderr


class Records(logging.Handler):
    """Handler that keeps its records."""

    def __init__(self):
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Without the handler that all tests have."""
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)


def test_messages_are_lines_on_stderr_within_the_block_only(capsys):
    say("before")
    with messages_on_stderr():
        say("one")
        with messages_on_stderr():
            logger.warning("two %s\n", "of two")
    say("after")
    assert capsys.readouterr().err == "one\ntwo of two\\n\n"


def test_the_root_logger_gets_nothing_as_well(monkeypatch):
    handler = Records()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    with messages_on_stderr():
        say("once")
    assert handler.records == []


def test_a_failure_to_write_is_not_swallowed(monkeypatch):
    def closed(*args, **named):
        raise BrokenPipeError

    monkeypatch.setattr(terminal, "print", closed, raising=False)
    with messages_on_stderr(), pytest.raises(BrokenPipeError):
        say("to nobody")


@pytest.mark.parametrize(
    ("is_terminal", "written"),
    [(True, "\r\033[Kx: 40 of 40 images, 2/s, 0 s left\n"), (False, "x: 40 of 40 images, 2/s, 0 s left\n")],
)
def test_progress_renews_its_line_on_a_terminal(monkeypatch, capsys, is_terminal, written):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    now = iter([0.0, 20.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with messages_on_stderr(), Progress("x", 40, "images") as loop:
        loop.add(40)
    assert capsys.readouterr().err == written
