"""Messages and progress of the library, without a terminal."""

from __future__ import annotations

import logging
from contextlib import suppress
from types import SimpleNamespace

import pytest

from labelmint.runtime import progress
from labelmint.runtime.progress import Progress, Status, printable, say, shown_by


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

    def update(self, status: Status) -> None:
        self.lines.append(str(status))

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

    def test_the_end_is_shown_if_anything_was_and_nothing_failed(self, clock):
        display = Lines()
        with shown_by(display), suppress(KeyboardInterrupt):
            for error in (None, KeyboardInterrupt):
                with Progress("x", 9, "images") as loop:
                    clock.append(1.0)
                    loop.add(4)
                    clock.append(0.5)
                    loop.add(5)
                    if error:
                        raise error
        start = "x: 4 of 9 images, 4/s, 1 s left"
        assert display.lines == [start, "x: 9 of 9 images, 6/s, 0 s left", start]
        assert display.ended == 2

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

    def test_what_an_earlier_process_has_done_does_not_count_as_speed(self, clock):
        display = Lines()
        with shown_by(display), Progress("resumed", 100, "images") as loop:
            loop.resume(60)
            clock.append(2.0)
            loop.add(10)
        assert display.lines == ["resumed: 70 of 100 images, 5/s, 6 s left"]

    def test_a_loop_within_another_one_is_not_shown(self, clock):
        display = Lines()
        with shown_by(display), Progress("outer", 2, "arms") as outer:
            with Progress("inner", 5, "images") as inner:
                clock.append(1.0)
                inner.add(5)
            outer.add(1)
        with shown_by(display), Progress("next", 5, "images") as after:
            clock.append(1.0)
            after.add(5)
        assert display.lines == ["outer: 1 of 2 arms, 1/s, 1 s left", "next: 5 of 5 images, 5/s, 0 s left"]
        assert display.ended == 2

    def test_units_of_more_than_a_second_have_no_speed(self, clock):
        display = Lines()
        with shown_by(display), Progress("images", 9, "metrics") as loop:
            clock.append(100.0)
            loop.add(1)
        assert display.lines == ["images: 1 of 9 metrics, 13 min 20 s left"]

    def test_the_display_is_that_of_the_block_only(self, clock):
        inside, outside = Lines(), Lines()
        with shown_by(outside):
            with shown_by(inside):
                pass
            with Progress("a", 1, "b") as loop:
                clock.append(1.0)
                loop.add(1)
        assert (len(inside.lines), len(outside.lines)) == (0, 1)
