"""Devices and threads; jobs side by side in processes of one thread each on a CPU, one after the other on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from labelmint.runtime import process_pool
from labelmint.runtime.settings import Compute

Job = TypeVar("Job")
Result = TypeVar("Result")


def pick_device(compute: Compute) -> torch.device:
    if compute.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(compute.device)


def run_jobs(
    work: Callable[[Job, torch.device], Result], jobs: Sequence[Job], compute: Compute
) -> Iterator[tuple[int, Result]]:
    """Yield (position, work(job, device)) as each finishes. Close it early (contextlib.closing) and its processes end.

    Results are the same for any number of workers: a job draws only on its own seed and runs in one thread.
    """
    device = pick_device(compute)
    count = process_pool.count(compute, len(jobs))
    if device.type != "cpu" or count < 2:
        with threads(1 if device.type == "cpu" else torch.get_num_threads()):
            for position, job in enumerate(jobs):
                yield position, work(job, device)
        return
    yield from process_pool.in_processes(partial(work, device=device), jobs, count, torch.set_num_threads, (1,))


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
