"""Work spread over processes, the same for images that are decoded and for networks that are trained."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any, TypeVar

from labelmint.runtime.parent_death import end_with_parent, orphaned
from labelmint.runtime.settings import Compute

Job = TypeVar("Job")
Result = TypeVar("Result")
START = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
"""A forked child has its imports already; spawning would do them again, seconds each time."""

_STOPPING = {signal.SIGINT, signal.SIGTERM}
_SAVING_SECONDS = 10.0


def count(compute: Compute, jobs: int) -> int:
    """How many processes `jobs` jobs deserve on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(jobs, cores if compute.workers == "auto" else compute.workers))


def in_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    start: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[tuple[int, Result]]:
    """Yield (position, work(job)) as each finishes. `start(*arguments)` runs once in each process.

    Closing it early, as `contextlib.closing` does on an error or a signal, ends every process. Raises: RuntimeError when a process dies.
    """
    context = multiprocessing.get_context(START)
    with ProcessPoolExecutor(workers, context, _start, (start, arguments)) as pool:
        try:
            with _signals_held():  # the first submit forks, and what a handler raises within a fork is lost
                positions = {pool.submit(_guarded, work, job): position for position, job in enumerate(jobs)}
            for future in as_completed(positions):
                yield positions.pop(future), future.result()
        except BrokenProcessPool as error:
            _end_in_time(multiprocessing.active_children())
            raise RuntimeError(
                "a worker process died (out of memory?); run again to go on, or set compute.workers: 1"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _end_in_time(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """The pool has asked those that are left to end and waits for them. One that works saves and ends; but one that waits for a lock
    of the queue never would, if the process that died had held it."""
    deadline = time.monotonic() + _SAVING_SECONDS
    for process in processes:
        connection.wait([process.sentinel], max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Stop signals wait until the end of the block, whichever thread they reach."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    caught: list[int] = []
    # The mask keeps them from this thread and from a new child, the handlers from being run for another thread's sake.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    handlers = {each: signal.signal(each, lambda number, _: caught.append(number)) for each in _STOPPING}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler or signal.SIG_DFL)
        for number in caught:
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Ended(BaseException):
    """Raised within a job when its process shall end."""


_at_work, _ending, _parent = False, False, 0


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    global _parent
    _parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too, and ends its workers
    signal.signal(signal.SIGTERM, _end)
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if start is not None:
        start(*arguments)


def _end(*_: object) -> None:
    """A process that died while it sends its result would leave the parent waiting for the rest: only jobs are cut short."""
    global _ending
    if os.getppid() != _parent or orphaned():  # nobody waits any more
        os._exit(1)
    _ending = True
    if _at_work:
        raise _Ended


def _guarded(work: Callable[[Job], Result], job: Job) -> Result:
    global _at_work
    try:
        _at_work = True
        if _ending:
            raise _Ended
        return work(job)
    finally:
        _at_work = False
