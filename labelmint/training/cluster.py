"""Replicas on the workers of a Dask cluster: `compute.cluster: tcp://host:port`, an existing scheduler's address.

The arm's images are sent to every worker once. A replica whose worker dies is trained by another, from its last checkpoint
where the workers share a file system, else anew; its weights are the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.training import trainer
from labelmint.training.images import ArrayImages, Images
from labelmint.training.trainer import Replica, Setup, Trained, Watch, in_steps

_SECONDS_FOR_SCHEDULER = 10
_SECONDS_FOR_WORKERS = 60


class _Cancelled(BaseException):
    """The person who waited for it does so no more."""


def train(replicas: Sequence[Replica], images: Images, compute: Compute, watch: Watch) -> Iterator[tuple[int, Trained]]:
    """Yield (position, what became of it) as replicas finish. Raises: InputError when the cluster is not there."""
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise InputError("compute.cluster needs Dask: pip install distributed") from error
    try:
        client = Client(compute.cluster, timeout=_SECONDS_FOR_SCHEDULER, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise InputError(
            f"compute.cluster: no Dask scheduler answers at {compute.cluster}; start one with `dask scheduler`, or set cluster: null"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
        except TimeoutError as error:
            raise InputError(
                f"compute.cluster: {compute.cluster} has no workers; start some in this folder with `dask worker {compute.cluster} --nthreads 1`"
            ) from error
        say(f"{len(replicas)} generators on {len(client.scheduler_info()['workers'])} workers of {compute.cluster}")
        rows = np.unique(np.concatenate([replica.rows for replica in replicas]))
        held = client.scatter(images.take(rows), broadcast=True, hash=False)
        topic = f"labelmint-{uuid.uuid4()}"
        client.subscribe_topic(topic, lambda event: watch(*event[1]))
        tasks = {
            client.submit(
                _work, position, replace(replica, rows=np.searchsorted(rows, replica.rows)), held, compute, topic,
                key=f"{topic}-{replica.name}-{position}", pure=False,
            ): position
            for position, replica in enumerate(replicas)
        }  # fmt: skip
        try:
            for task, result in as_completed(tasks, loop=client.loop, with_results=True):
                yield tasks[task], result
        finally:
            client.cancel(list(tasks), force=True)


def _work(position: int, replica: Replica, images: np.ndarray, compute: Compute, topic: str) -> Trained:
    from distributed import get_worker
    from distributed.worker import thread_state

    from labelmint.training.strategies import resident_bytes

    worker, key = get_worker(), thread_state.key

    def watch(_: int, seen: int, row: dict[str, Any] | None) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _Cancelled
        worker.log_event(topic, (position, seen, row))

    torch.set_num_threads(1)
    device = torch.device("cpu" if compute.device == "cpu" or not torch.cuda.is_available() else "cuda")
    setup = Setup(device, resident_bytes(compute, device))
    ((_, result),) = trainer.train([replica], ArrayImages(images), setup, in_steps(watch))
    return result
