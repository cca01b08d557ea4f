"""How the replicas of an arm are trained: in processes, together on a GPU, one by one, or on a cluster.

On a CPU, processes, one by one and a cluster give the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, cast

import torch

from labelmint.runtime import process_pool
from labelmint.runtime.devices import arithmetic, pick_device, precision_in_force, resident_bytes, threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute
from labelmint.training import cluster, distributed
from labelmint.training.images import Images
from labelmint.training.replica import Replica, Trained
from labelmint.training.run import Setup
from labelmint.training.trainer import Callback, Results, Seen, throttled, train
from labelmint.training.updates import LOSSES

_SHORT_NAMES = dict(zip(LOSSES, ("D real", "D fake", "G", "right on real", "on fake")))


def train_arm(name: str, replicas: Sequence[Replica], images: Images, compute: Compute) -> Results:
    """Train the replicas of an arm, with one progress line for all; yield each result as it is ready.

    name: of the arm, for the progress line. If the generator is closed early (contextlib.closing), every
    process that it started saves its progress and ends.
    """
    total = sum(replica.steps * replica.images_per_step for replica in replicas)
    with Progress(name, total, "images") as progress:
        callback = partial(_show, progress)
        if compute.cluster:  # its workers have the devices
            yield from cluster.train(replicas, images, compute, callback)
            return
        device = pick_device(compute)
        if distributed.launched():
            yield from _under_torchrun(replicas, images, compute, device, callback)
        else:
            with arithmetic(compute, device):
                yield from _on_this_machine(replicas, images, compute, device, callback)


def _under_torchrun(
    replicas: Sequence[Replica], images: Images, compute: Compute, device: torch.device, callback: Callback
) -> Results:
    main = distributed.is_main_process()
    with distributed.group(device) as own, arithmetic(compute, own):
        setup = Setup(
            own,
            resident_bytes(compute, own),
            bf16=precision_in_force(compute, own) == "bf16",
            learner_class=distributed.Distributed,
            writes_checkpoints=main,
        )
        yield from train(replicas, images, setup, callback if main else _ignore)


def _on_this_machine(
    replicas: Sequence[Replica], images: Images, compute: Compute, device: torch.device, callback: Callback
) -> Results:
    strategy = _strategy(compute, device)
    workers = process_pool.worker_count(compute, len(replicas))
    if strategy == "processes" and workers > 1:
        with closing(_in_processes(replicas, images, compute, workers, callback)) as results:
            yield from results
        return
    setup = Setup(
        device,
        resident_bytes(compute, device),
        at_once=None if strategy == "together" else 1,
        bf16=precision_in_force(compute, device) == "bf16",
    )
    # A single generator may use all cores. One of several uses one thread, whether or not others train
    # beside it, so that its weights do not depend on how many train at once.
    one_thread = device.type == "cpu" and replicas[0].family.labels == "per_class"
    count = 1 if one_thread else torch.get_num_threads()
    with threads(count), closing(train(replicas, images, setup, callback)) as results:
        yield from results


def _strategy(compute: Compute, device: torch.device) -> str:
    """How several replicas are trained on the device: processes, together or one_by_one.

    Raises: InputError if the settings name one that has no meaning there.
    """
    own = "together" if device.type == "cuda" else "processes"
    if compute.strategy == "processes" and device.type != "cpu":
        raise InputError(
            f"compute.strategy: processes would share {device}, which one process uses better; "
            "set it to auto, together or one_by_one"
        )
    if compute.strategy == "together" and device.type != "cuda":
        raise InputError(
            f"compute.strategy: together is one CUDA graph of all generators, and {device} has none; "
            "set it to auto, processes or one_by_one"
        )
    if compute.strategy != "auto":
        return compute.strategy
    return own if device.type in ("cuda", "cpu") else "one_by_one"


def _ignore(_: Seen) -> None:
    pass


def _show(progress: Progress, seen: Seen) -> None:
    if seen.resumed:
        progress.resume(seen.images)
        return
    if row := seen.row:
        progress.note = ", ".join(f"{short} {row[name]:.2f}" for name, short in _SHORT_NAMES.items())
    progress.add(seen.images)


def _in_processes(
    replicas: Sequence[Replica], images: Images, compute: Compute, workers: int, callback: Callback
) -> Results:
    job, positions = (replicas, images, compute), range(len(replicas))
    yield from process_pool.in_processes(_work, positions, workers, _start, job, receive=callback)


_job: tuple[Sequence[Replica], Images, Compute]
"""What a worker process trains."""


def _start(*job: Any) -> None:
    global _job  # noqa: PLW0603
    _job = cast(Any, job)
    torch.set_num_threads(1)


def _work(position: int) -> Trained:
    replicas, images, compute = _job
    device = torch.device("cpu")
    callback = throttled(lambda seen: process_pool.send(seen._replace(position=position)))
    ((_, result),) = train(
        [replicas[position]], images, Setup(device, resident_bytes(compute, device)), callback
    )
    return result
