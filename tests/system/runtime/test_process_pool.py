"""Signals to a program whose workers are saving."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from tests.conftest import ROOT

SCRIPT = """
import os
import time

from labelmint.runtime.process_pool import in_processes


def say(word):
    os.write(1, f"{word}\\n".encode())  # at once, also where print writes the end of a line by itself


def work(seconds):
    try:
        say("working")
        time.sleep(seconds)
    finally:
        say("saving")
        os.read(0, 1)  # until the test lets it end
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
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        for signal_sent_after in ("working", "saving"):
            for _ in range(2):
                assert process.stdout.readline().strip() == signal_sent_after
            process.send_signal(signal.SIGINT)
        time.sleep(0.5)  # in which a parent that did not wait would end
        rest, _ = process.communicate("..", timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (rest.split(), process.returncode) == (["saved", "saved", "interrupted"], 0)
