"""Training on the workers of a Dask cluster, whose scheduler's address is `compute.cluster: tcp://host:port`.

The arm's images are sent to every worker once. If a worker dies, another one trains its replica: from the
last checkpoint if the workers share a file system, else from the start. The weights are the same.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from labelmint.runtime.devices import arithmetic, pick_device, precision_in_force, resident_bytes
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.training import trainer
from labelmint.training.images import ArrayImages, Images
from labelmint.training.replica import Replica, Trained
from labelmint.training.run import Setup
from labelmint.training.trainer import Callback, Results, Seen, throttled

_SCHEDULER_TIMEOUT = 10
_WORKERS_TIMEOUT = 60


class _Cancelled(BaseException):
    """The client has cancelled the task."""


def train(replicas: Sequence[Replica], images: Images, compute: Compute, callback: Callback) -> Results:
    """Train `replicas`; yield each result as it is ready.

    Raises: InputError when the cluster does not answer.
    """
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise InputError("compute.cluster needs Dask: pip install distributed") from error
    dask_client: Any = Client  # Dask has no types
    try:
        client = dask_client(compute.cluster, timeout=_SCHEDULER_TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise InputError(
            f"compute.cluster: no Dask scheduler answers at {compute.cluster}; "
            "start one with `dask scheduler`, or set cluster: null"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT)
        except TimeoutError as error:
            raise InputError(
                f"compute.cluster: {compute.cluster} has no workers; "
                f"start some in this folder with `dask worker {compute.cluster} --nthreads 1`"
            ) from error
        workers = len(client.scheduler_info()["workers"])
        say(f"{len(replicas)} generators on {workers} workers of {compute.cluster}")
        rows = np.unique(np.concatenate([replica.rows for replica in replicas]))
        scattered = client.scatter(images.take(rows), broadcast=True, hash=False)
        topic = f"labelmint-{uuid.uuid4()}"
        client.subscribe_topic(topic, lambda event: callback(Seen(*event[1])))
        tasks = {}
        for position, replica in enumerate(replicas):
            own = replace(replica, rows=np.searchsorted(rows, replica.rows))
            key = f"{topic}-{replica.name}-{position}"
            task = client.submit(_work, position, own, scattered, compute, topic, key=key, pure=False)
            tasks[task] = position
        try:
            completed: Any = as_completed
            for task, result in completed(tasks, loop=client.loop, with_results=True):
                yield tasks[task], result
        finally:
            client.cancel(list(tasks), force=True)


def worker_device(compute: Compute, worker: str, hosts: Mapping[str, str]) -> torch.device:
    """Device of a worker. Of several CUDA devices, the workers of a host take one each in turn.

    `dask cuda worker` makes another device the first one in each worker, which is then its own.

    Args:
        compute: A number in `compute.device` is the same for every worker.
        worker: The worker's address.
        hosts: {address: host} of all workers.

    Raises: InputError that names the worker if torch cannot use the device there.
    """
    where = f"the Dask worker {worker}"
    device = pick_device(compute, where)
    if device.type != "cuda" or device.index is not None or "dask_cuda" in sys.modules:
        return device
    neighbours = sorted(address for address, host in hosts.items() if host == hosts[worker])
    index = neighbours.index(worker) % torch.cuda.device_count()
    return pick_device(replace(compute, device=f"cuda:{index}"), where)


def _work(position: int, replica: Replica, images: np.ndarray, compute: Compute, topic: str) -> Trained:
    from distributed import get_client, get_worker
    from distributed.worker import thread_state  # type: ignore[attr-defined]  # Dask declares no exports

    worker, key = get_worker(), thread_state.key

    def report(seen: Seen) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _Cancelled
        worker.log_event(topic, tuple(seen._replace(position=position)))

    torch.set_num_threads(1)
    workers = get_client().scheduler_info()["workers"]
    device = worker_device(
        compute, worker.address, {address: each["host"] for address, each in workers.items()}
    )
    bf16 = precision_in_force(compute, device) == "bf16"
    setup = Setup(device, resident_bytes(compute, device), bf16=bf16)
    with arithmetic(compute, device):
        ((_, result),) = trainer.train([replica], ArrayImages(images), setup, throttled(report))
    return result
