"""Work in processes: results, errors, stopping, death."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing

import pytest

from labelmint.runtime.process_pool import in_processes, run_jobs
from labelmint.runtime.settings import Compute

_offset = 0


def set_offset(value: int) -> None:
    global _offset
    _offset = value


def add_offset(value: int) -> int:
    return value + _offset


def thread_count(value: int, device) -> tuple[int, str, int]:
    import torch

    return value, device.type, torch.get_num_threads()


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
    results = dict(run_jobs(thread_count, [5, 6], Compute(device="cpu", workers=workers)))
    assert results == {0: (5, "cpu", 1), 1: (6, "cpu", 1)}


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
