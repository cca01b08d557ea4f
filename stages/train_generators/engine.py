"""Run replicas: side by side in processes of one thread each on a CPU, one after the other on a GPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from stages.train_generators.params import Compute

Job = TypeVar("Job")
Result = TypeVar("Result")


def pick_device(compute: Compute) -> torch.device:
    if compute.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(compute.device)


def run_jobs(
    work: Callable[[Job, torch.device], Result], jobs: Sequence[Job], compute: Compute
) -> Iterator[tuple[int, Result]]:
    """Yield (position, work(job, device)) as each finishes.

    Results are the same for any number of workers: a job draws only on its own seed and runs in one thread.
    """
    device = pick_device(compute)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(len(jobs), cores if compute.workers == "auto" else compute.workers)
    if device.type != "cpu" or workers < 2:
        with threads(1 if device.type == "cpu" else torch.get_num_threads()):
            for position, job in enumerate(jobs):
                yield position, work(job, device)
        return
    # A forked child has torch already; spawning would import it again, seconds each time.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(workers, context, _quiet_worker) as pool:
        positions = {pool.submit(work, job, device): position for position, job in enumerate(jobs)}
        try:
            for future in as_completed(positions):
                yield positions[future], future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process died (out of memory?); run again to go on from its checkpoint, or set compute.workers: 1"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _quiet_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too, and ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
