"""Messages and progress of the library, without a terminal."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from labelmint.runtime import progress
from labelmint.runtime.progress import Progress, printable, say, shown_by


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only by `clock.append(seconds)`."""
    steps = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: sum(steps)))
    return steps


class Records(logging.Handler):
    """Handler that keeps its records."""

    def __init__(self):
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Lines:
    """Display that keeps its lines."""

    interval = 1.0

    def __init__(self):
        self.lines: list[str] = []
        self.ended = 0

    def update(self, line: str) -> None:
        self.lines.append(line)

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat/\x1b[2J\n.png", r"cat/\x1b[2J\n.png"),
        ("\u202egnp", r"\u202egnp"),
        ("\ud800", r"\ud800"),
        ("Käse, 犬", "Käse, 犬"),
    ],
)
def test_printable_escapes_what_controls_a_terminal(text, shown):
    assert printable(text) == shown


def test_say_logs_one_printable_line(monkeypatch):
    handler = Records()
    progress.logger.addHandler(handler)
    monkeypatch.setattr(progress.logger, "level", logging.INFO)
    try:
        say("100 % of a\nb")
    finally:
        progress.logger.removeHandler(handler)
    assert [(each.levelname, each.getMessage()) for each in handler.records] == [("INFO", r"100 % of a\nb")]


class TestProgress:
    def test_tells_speed_and_time_left_at_the_displays_pace(self, clock):
        display = Lines()
        with shown_by(display), Progress("class 3", 40, "images") as loop:
            loop.add(4)
            clock.append(2.0)
            loop.add(6)
            loop.note = "d 0.5"
            clock.append(0.5)
            loop.add(1)
            clock.append(0.5)
            loop.add(9)
        assert display.lines == [
            "class 3: 10 of 40 images, 5/s, 6 s left",
            "class 3: 20 of 40 images, 7/s, 3 s left (d 0.5)",
        ]
        assert display.ended == 1

    def test_a_short_loop_shows_nothing(self, clock):
        display = Lines()
        with shown_by(display), Progress("quick", 5, "images") as loop:
            loop.add(5)
        assert display.lines == []
        assert display.ended == 0

    def test_the_total_grows_with_what_is_done(self, clock):
        display = Lines()
        with shown_by(display), Progress("restarted", 5, "images") as loop:
            clock.append(1.0)
            loop.add(9)
        assert display.lines == ["restarted: 9 of 9 images, 9/s, 0 s left"]

    def test_the_display_is_restored(self):
        before = Progress("a", 1, "b").display
        with shown_by(Lines()):
            assert isinstance(Progress("a", 1, "b").display, Lines)
        assert Progress("a", 1, "b").display is before
