"""One big model on many devices: `torchrun --nproc-per-node 2 -m pipeline.stage train_generators ARM`.

Every process holds the whole model and takes its share of each batch. What a batch draws is drawn for the whole batch and
shared out, and gradients are those of the mean over the whole batch: the result is that of one process, but for rounding and
for batch normalisation, whose statistics are each process's own (or, by training.sync_batch_norm, those of all).
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
from labelmint.training.team import Single
from labelmint.training.updates import D, G

_AGREE_EVERY = 16


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def leads() -> bool:
    """Whether this is the one process that writes."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def group(device: torch.device) -> Iterator[torch.device]:
    """Within the block the processes know each other. Yields: this process's device."""
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


class ShardedStream:
    """A stream whose every draw, of which the batch is the first dimension, is made for the whole batch: this process gets its share."""

    def __init__(self, stream: Stream, whole: int, rank: int, world: int):
        self.stream, self.whole, self.mine = stream, whole, slice(rank, None, world)

    def normal(self, *shape: int) -> torch.Tensor:
        return self.stream.normal(self.whole, *shape[1:])[self.mine]

    def uniform(self, *shape: int) -> torch.Tensor:
        return self.stream.uniform(self.whole, *shape[1:])[self.mine]

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        return self.stream.integers(low, high, self.whole, *shape[1:])[self.mine]

    def mask(self, like: torch.Tensor, probability: float) -> torch.Tensor:
        return self.stream.mask(like.new_empty(self.whole, *like.shape[1:]), probability)[self.mine]


class Distributed(Single):
    """A replica whose batches are shared out over the processes of the default group."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        family = self.family
        if family.update != "sequential" or family.n_critic > 1 or family.r1 or family.r2 or family.lecam:
            raise InputError(
                "families: under torchrun only `update: sequential` works, which uses one gradient at a time, with one critic step and without r1, r2 and lecam"
            )
        if self.training.batch_size < 2 * self.world:
            raise InputError(f"training.batch_size: {self.world} processes need at least {2 * self.world}, got {self.training.batch_size}")  # fmt: skip
        own = [self.device] if self.device.type == "cuda" else None
        self.reduced = {}
        for player, network in self.networks.items():
            if self.training.sync_batch_norm:
                if self.device.type != "cuda":
                    raise InputError("training.sync_batch_norm needs GPUs; set it to false, or batch_norm to false")
                self.networks[player] = network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            self.reduced[player] = DistributedDataParallel(network, own)

    def mine(self, places: np.ndarray) -> np.ndarray:
        self.whole, own = len(places), places[self.rank :: self.world]
        # Shares differ by one image where the batch does not divide: each counts by its size.
        self.weight = len(own) * self.world / self.whole
        return own

    def _open(self, key: int) -> ShardedStream:
        return ShardedStream(Stream(key, self.device), self.whole, self.rank, self.world)

    def generator(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        network = self.reduced[G] if torch.is_grad_enabled() else self.networks[G]
        return network(latents, labels)

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        # In G's step, whose images come with a gradient, D's own gradients are not wanted and must not be exchanged.
        network = self.networks[D] if images.requires_grad else self.reduced[D]
        return network(images, labels, self._stream())

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        weights = self.weights[player]
        for weight in weights:
            weight.grad = None
        (loss * self.weight).backward(inputs=weights, retain_graph=retain)
        return [weight.grad for weight in weights]

    def means(self, position: int, steps: int) -> list[float]:
        self.sums *= self.weight / self.world
        distributed.all_reduce(self.sums)
        return super().means(position, steps)

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether any process wants to stop: asked now and then, at the same step by all."""
        if step % _AGREE_EVERY:
            return False
        flag = torch.tensor(float(wanted), device=self.device)
        distributed.all_reduce(flag)
        return bool(flag > 0)
