"""What stderr shows of the library's messages."""

from __future__ import annotations

import io
import logging
import re
import sys
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from labelmint.runtime import progress
from labelmint.runtime.progress import Progress, logger, say, shown_by
from pipeline import terminal
from pipeline.terminal import messages_on_stderr

MESSAGE = "class 3: resuming from step 1,200 of 4,800, whose checkpoint is the last of those that are whole"


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
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    with messages_on_stderr(), pytest.raises(BrokenPipeError):
        say("to nobody")


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True

    def rows(self) -> list[str]:
        """What each row has shown, one after another, without colours."""
        return re.split("[\r\n]+", re.sub(r"\x1b\[[\d;]*m", "", self.getvalue()))


def work(monkeypatch, label: str = "dcgan-40-0") -> None:
    """A loop of twenty seconds, with a message at its middle."""
    seconds = iter(range(0, 60, 10))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with messages_on_stderr(), shown_by(terminal.display("5/23")), Progress(label, 40_000, "images") as loop:
        loop.add(10_000)
        say(MESSAGE)
        loop.note = "D real 0.52, D fake 0.61, G 0.93"
        loop.add(10_000)


def worked(monkeypatch, width: int = 80, label: str = "dcgan-40-0", **environment: str) -> Screen:
    """A terminal of `width` columns after that work."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"TERM": "xterm-256color", "COLUMNS": str(width)} | environment).items():
        monkeypatch.setenv(name, value)
    work(monkeypatch, label)
    return screen


def test_a_terminal_shows_a_bar_and_the_facts_that_fit(monkeypatch):
    first, message, rest, last, end = worked(monkeypatch).rows()
    assert re.fullmatch(r"5/23 dcgan-40-0 [━╸╺ ]{8,30} 10,000 of 40,000 images, 1,000/s, 30 s left *", first)
    assert (message.rstrip(), rest.rstrip()) == (
        "class 3: resuming from step 1,200 of 4,800, whose checkpoint is the last of",
        "those that are whole",
    )
    assert last.rstrip().endswith("20,000 of 40,000 images, 1,000/s, 20 s left")
    assert end == ""
    assert {len(row) for row in (first, message, rest, last)} == {79}  # each covers what was there before


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("label", ["dcgan-40-0", "a-name-" * 12 + "100-7", "写真" * 40])
def test_no_row_is_longer_than_the_terminal(monkeypatch, width, label):
    screen = worked(monkeypatch, width, label)
    assert max(cell_len(row) for row in screen.rows()) < width
    bars = [row for row in screen.rows() if "━" in row]
    assert len(bars) == 2 and all(" s left" in row for row in bars)
    assert f"{label[-2:]} " in bars[0] and ("..." in bars[0]) == (len(label) > 40)


def test_wide_terminals_show_the_losses_too(monkeypatch):
    assert "1,000/s, 20 s left, D real 0.52, D fake 0.61, G 0.93" in worked(monkeypatch, 140).rows()[2]


def test_no_color_is_a_bar_without_escape_codes(monkeypatch):
    assert "\x1b[" in worked(monkeypatch).getvalue()
    plain = worked(monkeypatch, NO_COLOR="1").getvalue()
    assert "━" in plain and "\x1b" not in plain


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_other_terminals_get_plain_lines(monkeypatch, term):
    shown = worked(monkeypatch, TERM=term).getvalue()
    lines = shown.splitlines()
    assert lines[0] == "dcgan-40-0: 10,000 of 40,000 images, 1,000/s, 30 s left"
    assert lines[1] == MESSAGE
    assert "\r" not in shown and "\x1b" not in shown


def test_a_pipe_gets_plain_lines(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    work(monkeypatch)
    assert capsys.readouterr().err.splitlines()[::2] == [
        "dcgan-40-0: 10,000 of 40,000 images, 1,000/s, 30 s left",
        "dcgan-40-0: 20,000 of 40,000 images, 1,000/s, 20 s left (D real 0.52, D fake 0.61, G 0.93)",
    ]


def test_message_is_one_write_so_that_processes_do_not_mix_their_lines(monkeypatch):
    class Recorder(io.StringIO):
        writes: list[str] = []

        def write(self, text):
            self.writes.append(text)
            return len(text)

    monkeypatch.setattr("sys.stderr", Recorder())
    with messages_on_stderr():
        say("class 0: done")
    assert Recorder.writes == ["class 0: done\n"]
