"""Work spread over processes: images that are decoded, networks that are trained, images that are sampled."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, TypeVar

from labelmint.runtime.allocator import keep_freed_memory
from labelmint.runtime.devices import available_cores, pick_device, threads
from labelmint.runtime.parent_death import STOP_SIGNALS, end_with_parent, orphaned
from labelmint.runtime.progress import Count, Progress, hide_progress
from labelmint.runtime.settings import Compute

if TYPE_CHECKING:
    import torch

Job = TypeVar("Job")
Result = TypeVar("Result")
START = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
"""Start method. A forked child has its imports already; a spawned one repeats them, which takes seconds."""

_SAVING_SECONDS = 10.0
_REPORT_SECONDS = 0.1


def worker_count(compute: Compute, jobs: int) -> int:
    """Number of processes for `jobs` jobs on this machine: at most one per job, at least 1."""
    return max(1, min(jobs, available_cores() if compute.workers == "auto" else compute.workers))


def run_jobs(
    work: Callable[[Job, torch.device, Count], Result],
    jobs: Sequence[Job],
    compute: Compute,
    progress: Progress,
) -> Generator[tuple[int, Result], None, None]:
    """Yield (position, work(job, device, count)) as each job finishes. `count` counts units of `progress`.

    Jobs run in processes of one thread each on a CPU, and one after the other on a GPU.
    Results are the same for any number of workers: a job draws only from its own seed and runs in one thread.
    Closing the iterator early, as `contextlib.closing` does, ends all processes.
    """
    import torch

    device = pick_device(compute)
    workers = worker_count(compute, len(jobs))
    if device.type != "cpu" or workers < 2:
        with threads(1 if device.type == "cpu" else torch.get_num_threads()):
            for position, job in enumerate(jobs):
                yield position, work(job, device, progress.add)
        return
    own = partial(_on_device, work, device)
    yield from in_processes(own, jobs, workers, torch.set_num_threads, (1,), receive=progress.add)


def _on_device(work: Callable[[Job, torch.device, Count], Result], device: torch.device, job: Job) -> Result:
    finished = _Finished()
    try:
        return work(job, device, finished.add)
    finally:
        finished.send()


class _Finished:
    """Units of work of a job in a worker process that are reported together."""

    def __init__(self) -> None:
        self.count, self.sent = 0, time.monotonic()

    def add(self, count: int) -> None:
        self.count += count
        if time.monotonic() - self.sent >= _REPORT_SECONDS:
            self.send()

    def send(self) -> None:
        send(self.count)
        self.count, self.sent = 0, time.monotonic()


def in_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    start: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    *,
    receive: Callable[[Any], object] | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """Yield (position, work(job)) as each job finishes. `start(*arguments)` runs once in each process.

    `receive(event)` is called in this process, in a thread, for each `send(event)` of a job.
    Closing the iterator early, as `contextlib.closing` does on an error or a signal, ends all processes.
    Raises: RuntimeError when a process dies.
    """
    context = multiprocessing.get_context(START)
    events = context.SimpleQueue() if receive else None
    with (
        ProcessPoolExecutor(workers, context, _start, (start, arguments, events)) as pool,
        ExitStack() as stack,
    ):
        try:
            with (
                _signals_deferred()
            ):  # the first submit forks, and an exception of a handler is lost in a fork
                positions = {pool.submit(_guarded, work, job): position for position, job in enumerate(jobs)}
            if events and receive:  # after the fork, since a thread may hold a lock that a child needs
                stack.enter_context(_received(events, receive))
            for future in as_completed(positions):
                yield positions.pop(future), future.result()
        except BrokenProcessPool as error:
            _end_in_time(multiprocessing.active_children())
            raise RuntimeError(
                "a worker process died (out of memory?); run again to resume, or set compute.workers: 1"
            ) from error
        except BaseException:
            with _signals_deferred():  # a second Ctrl-C would leave the pool half closed, which hangs at exit
                for process in multiprocessing.active_children():
                    process.terminate()
                pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _received(events: Any, receive: Callable[[Any], object]) -> Iterator[None]:
    """Call `receive` for each event of the workers within the block, and for those left at its end."""

    def listen() -> None:
        for event in iter(events.get, None):
            with suppress(OSError):  # e.g. the terminal is closed; unread events would block the workers
                receive(event)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        # In a thread: a worker that was killed may have held the queue's lock.
        threading.Thread(target=events.put, args=(None,), daemon=True).start()
        listener.join(timeout=5)


def send(event: Any) -> None:
    """In a job: send `event`, which is not None, to the process that requested the job."""
    _events.put(event)


def _end_in_time(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    """Wait for processes that the pool has asked to end, then kill those that are left.

    A working process saves and ends. A process that waits for a lock of the queue would never end if the
    process that died held that lock.
    """
    deadline = time.monotonic() + _SAVING_SECONDS
    for process in processes:
        connection.wait([process.sentinel], max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer stop signals until the end of the block, whichever thread they reach."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    caught: list[int] = []
    # The mask covers this thread and a new child; the handlers cover signals that another thread receives.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    handlers = {each: signal.signal(each, lambda number, _: caught.append(number)) for each in STOP_SIGNALS}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler or signal.SIG_DFL)
        for number in caught:
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Ended(BaseException):
    """Raised within a job when its process has to end."""


_working, _ending, _parent = False, False, 0
_events: Any = None


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...], events: Any) -> None:
    global _parent, _events
    _parent, _events = os.getppid(), events
    hide_progress()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the parent too, and the parent ends its workers
    signal.signal(signal.SIGTERM, _end)
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    keep_freed_memory()
    if start is not None:
        start(*arguments)


def _end(*_: object) -> None:
    """Handle SIGTERM: interrupt a job, but not a result on its way, whose rest the parent would wait for."""
    global _ending  # noqa: PLW0603
    if os.getppid() != _parent or orphaned():  # no process waits for the result
        os._exit(1)
    _ending = True
    if _working:
        raise _Ended


def _guarded(work: Callable[[Job], Result], job: Job) -> Result:
    global _working  # noqa: PLW0603
    try:
        _working = True
        if _ending:
            raise _Ended
        return work(job)
    finally:
        _working = False
