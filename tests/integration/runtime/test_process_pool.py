"""Work in processes: results, errors, stopping, death."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing

import pytest

from labelmint.runtime import process_pool
from labelmint.runtime.process_pool import in_processes, run_jobs
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute

_offset = 0


def set_offset(value: int) -> None:
    global _offset
    _offset = value


def add_offset(value: int) -> int:
    return value + _offset


def thread_count(value: int, device, count) -> tuple[int, str, int]:
    import torch

    for _ in range(value):
        count(1)
    return value, device.type, torch.get_num_threads()


def report(value: int) -> None:
    for number in range(1000):
        process_pool.send((value, number, "x" * 100))


def fail(value: int) -> int:
    raise ZeroDivisionError(f"job {value}")


def die(value: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_every_job_returns_with_its_position():
    results = dict(in_processes(add_offset, [10, 20, 30], 2, set_offset, (1,)))
    assert results == {0: 11, 1: 21, 2: 31}
    assert _offset == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_on_a_cpu_have_one_thread_each(workers):
    with Progress("jobs", 11, "steps") as progress:
        compute = Compute(device="cpu", workers=workers)
        results = dict(run_jobs(thread_count, [5, 6], compute, progress))
    assert results == {0: (5, "cpu", 1), 1: (6, "cpu", 1)}
    assert progress.done == 11  # steps of worker processes too


def test_every_event_is_received_before_the_end_though_one_cannot_be_shown():
    """200 kB, more than a pipe holds: unread, they would block the workers."""
    received: list[tuple[int, int]] = []

    def receive(event: tuple[int, int, str]) -> None:
        received.append(event[:2])
        if len(received) == 1:
            raise BrokenPipeError

    list(in_processes(report, [1, 2], 2, receive=receive))
    assert sorted(received) == [(value, number) for value in (1, 2) for number in range(1000)]


def test_an_error_of_a_job_is_raised_here():
    with pytest.raises(ZeroDivisionError, match="job"):
        list(in_processes(fail, [0, 1], 2))


def test_closing_early_ends_the_processes():
    with closing(in_processes(add_offset, range(20), 2)) as results:
        next(results)
        pool = list(multiprocessing.active_children())
        assert pool
    assert not any(process.is_alive() for process in pool)


def test_a_killed_worker_is_an_error():
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(in_processes(die, [0, 1], 2))
