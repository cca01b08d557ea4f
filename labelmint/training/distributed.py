"""One large model on several devices: `torchrun --nproc-per-node 2 -m pipeline.stage train_generators ARM`.

Each process holds the whole model and trains on its part of each batch. Random numbers are drawn for the
whole batch and then divided, and gradients are those of the mean over the whole batch. The result is that of
one process except for rounding and for batch normalisation, which uses each process's own statistics (or
those of the whole batch, with training.sync_batch_norm).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from labelmint.random_streams import Stream
from labelmint.runtime.errors import InputError
from labelmint.training.gan_learner import GanLearner
from labelmint.training.updates import D, G

_STOP_CHECK_STEPS = 16


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def is_main_process() -> bool:
    """Whether this is the process that writes files; True without torchrun."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def group(device: torch.device) -> Iterator[torch.device]:
    """Join the default process group within the block. Yields: this process's device."""
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


class ShardedStream(Stream):
    """A stream that draws for the whole batch and returns this process's part.

    The first dimension of every draw is the batch.
    """

    def __init__(self, stream: Stream, batch_size: int, rank: int, world: int):
        super().__init__(stream.key, stream.device)
        self.whole, self.batch_size, self.own = stream, batch_size, slice(rank, None, world)

    def normal(self, *shape: int) -> torch.Tensor:
        return self.whole.normal(self.batch_size, *shape[1:])[self.own]

    def uniform(self, *shape: int) -> torch.Tensor:
        return self.whole.uniform(self.batch_size, *shape[1:])[self.own]

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        return self.whole.integers(low, high, self.batch_size, *shape[1:])[self.own]

    def mask(self, like: torch.Tensor, probability: float) -> torch.Tensor:
        return self.whole.mask(like.new_empty(self.batch_size, *like.shape[1:]), probability)[self.own]


class Distributed(GanLearner):
    """A replica whose batches are divided among the processes of the default group."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        family = self.family
        if family.update != "sequential" or family.n_critic > 1 or family.r1 or family.r2 or family.lecam:
            raise InputError(
                "families: under torchrun only `update: sequential` works, "
                "which uses one gradient at a time, with n_critic 1 and without r1, r2 and lecam"
            )
        if self.training.batch_size < 2 * self.world:
            raise InputError(
                f"training.batch_size: {self.world} processes need at least {2 * self.world}, "
                f"got {self.training.batch_size}"
            )
        own = [self.device] if self.device.type == "cuda" else None
        if self.training.sync_batch_norm:
            if self.device.type != "cuda":
                raise InputError(
                    "training.sync_batch_norm needs GPUs; set it to false, or batch_norm to false"
                )
            convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm  # torch has no type for it
            self.networks = {player: convert(network) for player, network in self.networks.items()}
        self.reduced = {
            player: DistributedDataParallel(network, own, broadcast_buffers=False)
            for player, network in self.networks.items()
        }

    def shard(self, indices: np.ndarray) -> np.ndarray:
        own = indices[self.rank :: self.world]
        self.batch_size = len(indices)
        # Parts differ by one image where the batch does not divide evenly, so each counts by its size.
        self.shard_weight = len(own) * self.world / self.batch_size
        return own

    def _open(self, number: int) -> Stream:
        return ShardedStream(super()._open(number), self.batch_size, self.rank, self.world)

    def _generator(self) -> nn.Module:
        return self.reduced[G] if torch.is_grad_enabled() else self.networks[G]

    def _discriminator(self, images: torch.Tensor) -> nn.Module:
        # Images with a gradient come from G's step, where D's own gradients are not needed and must not be
        # exchanged.
        return self.networks[D] if images.requires_grad else self.reduced[D]

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        weights = self.weights[player]
        for weight in weights:
            weight.grad = None
        torch.autograd.backward(loss * self.shard_weight, inputs=weights, retain_graph=retain)
        return [weight.grad for weight in weights if weight.grad is not None]

    def means(self, steps: int) -> list[float]:
        self.sums *= self.shard_weight / self.world
        distributed.all_reduce(self.sums)
        return super().means(steps)

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether any process wants to stop. All processes ask at the same steps."""
        if step % _STOP_CHECK_STEPS:
            return False
        flag = torch.tensor(float(wanted), device=self.device)
        distributed.all_reduce(flag)
        return bool(flag > 0)
