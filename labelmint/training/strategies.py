"""How the replicas of an arm are trained: in processes, stacked on one device, one by one, or on a cluster.

On a CPU the weights are the same, bit for bit, in processes, one by one and on a cluster.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import torch

from labelmint.runtime import process_pool
from labelmint.runtime.devices import pick_device, threads
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute
from labelmint.training import distributed
from labelmint.training.images import Images
from labelmint.training.stacked import Stacked
from labelmint.training.trainer import Replica, Setup, Trained, Watch, in_steps, train
from labelmint.training.updates import LOSSES

_CPU_BYTES = 1 << 30
_SHORT = dict(zip(LOSSES, ("D real", "D fake", "G", "right on real", "on fake")))


def train_arm(
    name: str, replicas: Sequence[Replica], images: Images, compute: Compute
) -> Iterator[tuple[int, Trained]]:
    """Yield (position, what became of it) as replicas finish, showing one line of progress for all.

    name: of the arm. Close it early (contextlib.closing) and every process it started ends, its progress saved.
    """
    device = pick_device(compute)
    strategy = compute.strategy
    if strategy == "auto":
        strategy = "stacked" if device.type == "cuda" else "processes"
    total = sum(replica.steps * replica.images_per_step for replica in replicas)
    with Progress(name, total, "images") as progress:
        watch = partial(_show, progress)
        if compute.cluster:
            from labelmint.training import cluster

            yield from cluster.train(replicas, images, compute, watch)
            return
        if distributed.launched():
            if not (leads := distributed.leads()):
                watch = _ignore
            with distributed.group(device) as own, precision(compute, own):
                setup = Setup(own, resident_bytes(compute, own), None, distributed.Distributed, leads)
                yield from train(replicas, images, setup, watch)
            return
        count = process_pool.worker_count(compute, len(replicas))
        with precision(compute, device):
            if strategy == "processes" and device.type == "cpu" and count > 1:
                with closing(_in_processes(replicas, images, compute, count, watch)) as results:
                    yield from results
                return
            join = partial(Stacked, bf16=compute.precision == "bf16") if strategy == "stacked" else None
            # A single generator has the machine to itself; one of several takes one thread, alone or beside others, so that
            # its weights do not depend on how many are trained at once.
            alone = replicas[0].family.labels != "per_class"
            count = 1 if device.type == "cpu" and not join and not alone else torch.get_num_threads()
            setup = Setup(device, resident_bytes(compute, device), join)
            with threads(count), closing(train(replicas, images, setup, watch)) as results:
                yield from results


def resident_bytes(compute: Compute, device: torch.device) -> int:
    if compute.resident_bytes != "auto":
        return compute.resident_bytes
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _CPU_BYTES


@contextmanager
def precision(compute: Compute, device: torch.device) -> Iterator[None]:
    """TensorFloat-32 for matrix products and convolutions, where it is asked for and there is a GPU."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = compute.precision != "fp32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _ignore(*_: Any) -> None:
    pass


def _show(progress: Progress, position: int, images: int, row: dict[str, Any] | None) -> None:
    if row is not None:
        progress.note = ", ".join(f"{short} {row[name]:.2f}" for name, short in _SHORT.items())
    progress.add(images)


def _in_processes(
    replicas: Sequence[Replica], images: Images, compute: Compute, count: int, watch: Watch
) -> Iterator[tuple[int, Trained]]:
    queue = multiprocessing.get_context(process_pool.START).SimpleQueue()
    listener = threading.Thread(target=_listen, args=(queue, watch), daemon=True)
    listener.start()
    arguments = (replicas, images, compute, queue.put)
    try:
        with closing(process_pool.in_processes(_work, range(len(replicas)), count, _start, arguments)) as results:
            yield from results
    finally:
        queue.put(None)
        listener.join(timeout=5)


def _listen(queue: Any, watch: Watch) -> None:
    while (event := queue.get()) is not None:
        watch(*event)


_job: tuple[Sequence[Replica], Images, Compute, Callable[[tuple[int, int, dict[str, Any] | None]], None]]


def _start(*job: Any) -> None:
    global _job
    _job = job
    torch.set_num_threads(1)


def _work(position: int) -> Trained:
    replicas, images, compute, put = _job
    device = torch.device("cpu")
    watch = in_steps(lambda _, seen, row: put((position, seen, row)))
    ((_, result),) = train([replicas[position]], images, Setup(device, resident_bytes(compute, device)), watch)
    return result
