"""Work spread over processes, the same for images that are decoded and for networks that are trained."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from stages.prepare.params import Compute

Job = TypeVar("Job")
Result = TypeVar("Result")


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

    Leaving early, by an error or a signal, ends every process. Raises: RuntimeError when a process dies.
    """
    # A forked child has its imports already; spawning would do them again, seconds each time.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(workers, context, _start, (start, arguments)) as pool:
        positions = {pool.submit(work, job): position for position, job in enumerate(jobs)}
        try:
            for future in as_completed(positions):
                yield positions.pop(future), future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process died (out of memory?); run again to go on, or set compute.workers: 1"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too, and ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if start is not None:
        start(*arguments)
