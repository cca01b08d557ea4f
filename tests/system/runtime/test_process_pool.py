"""Signals to a program whose workers are saving."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.conftest import ROOT

SCRIPT = """
import os
import time

from labelmint.runtime.process_pool import in_processes


def say(word):
    os.write(1, f"{word}\\n".encode())  # at once, also where print writes the end of a line by itself


def work(seconds):
    say("working")
    try:
        time.sleep(seconds)
    finally:
        say("saving")
        time.sleep(0.5)
        say("saved")


try:
    list(in_processes(work, [600, 600], 2))
except KeyboardInterrupt:
    say("interrupted")
"""


def test_a_second_interrupt_waits_until_the_workers_have_saved():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        for signal_sent_after in ("working", "saving"):
            for _ in range(2):
                assert process.stdout.readline().strip() == signal_sent_after
            process.send_signal(signal.SIGINT)
        rest = process.stdout.read().split()
        assert process.wait(30) == 0
    assert rest == ["saved", "saved", "interrupted"]
