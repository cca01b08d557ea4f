"""Processes of a pool whose parent, or one of them, is killed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labelmint.runtime import process_pool
from tests.system.servers import clean_environment, until


def test_workers_of_a_killed_process_end(tmp_path):
    """They would wait for their next job for ever."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from labelmint.runtime.process_pool import in_processes\n"
        "def work(number):\n"
        "    (Path(sys.argv[1]) / str(number)).touch()\n"
        "    time.sleep(600)\n"
        "list(in_processes(work, [0, 1], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=clean_environment())
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    children = psutil.Process(process.pid).children()
    assert len(children) == 2
    process.kill()
    process.wait()
    assert not psutil.wait_procs(children, 30)[1]


def _kill_the_idle_one(busy: Path) -> None:
    """Kill the third of three workers with two jobs: it waits for a job, and holds the lock of the queue."""
    (busy / str(os.getpid())).touch()
    until(lambda: len(list(busy.iterdir())) == 2, 30)
    time.sleep(0.5)  # the idle one is about to take the lock, which cannot be seen from here
    own = psutil.Process()
    parent = own.parent()
    assert parent is not None
    for each in parent.children():
        # Workers are forks of the tests' process, whose other children are servers of the session.
        if each.cmdline() == own.cmdline() and not (busy / str(each.pid)).exists():
            each.kill()
    time.sleep(600)


def test_workers_that_wait_for_a_killed_one_end(tmp_path, monkeypatch):
    """If a worker dies with the lock of the queue, the others wait for it, and their parent for them."""
    monkeypatch.setattr(process_pool, "_SAVING_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(process_pool.in_processes(_kill_the_idle_one, [tmp_path, tmp_path], 3))
    assert time.monotonic() - started < 60
    assert not multiprocessing.active_children()
