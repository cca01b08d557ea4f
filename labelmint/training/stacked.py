"""Replicas side by side on one device: their weights stacked, every operation done for all of them at once.

Each network is the plain module of `Single`, run by torch.vmap over the stack; its convolutions become grouped ones. On a GPU
a whole step is one CUDA graph, since launching its many small kernels would take longer than running them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from labelmint.gans.initialization import draw_latents
from labelmint.random_streams import Stream, fold
from labelmint.training.diffaugment import augments, differentiable
from labelmint.training.team import Batch, Single, Team, prepared, published, settle
from labelmint.training.updates import D, G, Real

_WARM_UP = 3
"""Steps before a graph is captured: libraries choose their algorithms meanwhile."""


class Stacked(Team):
    """Replicas of one family, shape and device, all at the same step. The stack is the first dimension of every tensor.

    bf16: networks compute in bfloat16 (weights, losses and statistics stay float32). graphs: capture CUDA graphs.
    """

    def __init__(self, singles: list[Single], bf16: bool = False, graphs: bool = True):
        first = singles[0]
        self.family, self.training, self.shape, self.device = first.family, first.training, first.shape, first.device
        self.labels, self.module, self.objective, self.update = (
            first.labels,
            first.module,
            first.objective,
            first.update,
        )
        self.bf16, self.graphs = bf16, graphs and self.device.type == "cuda"
        self.networks, self.limited = first.networks, first.limited
        self.names = {
            player: [name for name, _ in network.named_parameters()]
            + [name for name, _ in network.named_buffers() if name.endswith("direction")]
            for player, network in self.networks.items()
        }
        self.keys = torch.tensor([single.seed for single in singles], device=self.device)
        self.mirrored = any(single.mirrored for single in singles)
        self.weights = {
            player: [weight.detach().requires_grad_() for weight in _stack([one.weights[player] for one in singles])]
            for player in (G, D)
        }
        self.directions = {player: _stack([one.directions[player] for one in singles]) for player in (G, D)}
        self.optimizers = {}
        for player, optimizer in first.optimizers.items():
            self.optimizers[player] = type(optimizer)(self.weights[player], optimizer.params)
            each = [single.optimizers[player].state() for single in singles]
            stacks = {name: _stack([one[name] for one in each]) for name in ("first", "second")}
            self.optimizers[player].load(stacks | {"steps": each[0]["steps"]})
        self.average = _stack([single.average for single in singles])
        self.anchors = torch.stack([single.anchors for single in singles])
        self.sums = torch.stack([single.sums for single in singles])
        self._forget_graph()

    def _forget_graph(self) -> None:
        self.graph: torch.cuda.CUDAGraph | None = None
        self.taken = 0
        self.batch: Batch | None = None
        self.number = torch.zeros((), dtype=torch.int64, device=self.device)
        self.share, self.newest = (torch.zeros((), device=self.device) for _ in range(2))

    def train_step(self, number: int, batch: Batch, share: float, newest: float) -> None:
        """share: of the learning rates. newest: weight of the new weights in the average."""
        self.number.fill_(number)
        self.share.fill_(share)
        self.newest.fill_(newest)
        if self.batch is None:
            self.batch = Batch(*(torch.empty_like(part) for part in batch))
        for own, part in zip(self.batch, batch):
            own.copy_(part, non_blocking=True)
        self.taken += 1
        if not self.graphs:
            self._take()
        elif self.taken <= _WARM_UP:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._take()
            torch.cuda.current_stream().wait_stream(side)
        else:
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self._take()
            self.graph.replay()

    def _take(self) -> None:
        self.step_keys, self.calls = fold(self.keys, self.number), 0
        images = torch.vmap(
            lambda images, labels, mirrored, key: prepared(
                Batch(images, labels, mirrored), self.training, self.mirrored, Stream(key)
            )
        )(*self.batch, fold(self.step_keys, 0))
        self.sums += self.update(self, Real(images, self.batch.labels))
        with torch.no_grad():
            for average, weight in zip(self.average, self.weights[G]):
                average.lerp_(weight, self.newest)

    def _keys(self) -> torch.Tensor:
        self.calls += 1
        return fold(self.step_keys, self.calls)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def one(weights: list[torch.Tensor], labels: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, ...]:
            latents = draw_latents(len(labels), self.family, Stream(key))
            return functional_call(self.networks[G], dict(zip(self.names[G], weights)), (latents, labels))

        with self._precision():
            images, labels = torch.vmap(one)(self.weights[G] + self.directions[G], labels, self._keys())
        return images.float(), labels.float()

    def uniform(self, count: int) -> torch.Tensor:
        return torch.vmap(lambda key: Stream(key).uniform(count))(self._keys())

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        if not augments(self.training):
            return images
        return torch.vmap(lambda images, key: differentiable(images, self.training, Stream(key)))(images, self._keys())

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        def one(
            weights: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor, key: torch.Tensor
        ) -> torch.Tensor:
            return functional_call(self.networks[D], dict(zip(self.names[D], weights)), (images, labels, Stream(key)))

        with self._precision():
            return torch.vmap(one)(self.weights[D] + self.directions[D], images, labels, self._keys()).float()

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        # The sum's gradient in one replica's weights is that of its own loss.
        return list(torch.autograd.grad(loss.sum(), self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)

    def step(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.optimizers[player].step(gradients, self.share)
        settle(self.family, player, self.weights[player], self.limited[player], self.directions[player])

    def means(self, position: int, steps: int) -> list[float]:
        means = (self.sums[position] / steps).tolist()
        self.sums[position].zero_()
        return means

    def published(self, position: int, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> nn.Module:
        network = self.module.build_generator(self.family, self.shape, self.labels)
        return published(network, [average[position] for average in self.average], batches)

    def state(self, position: int) -> dict[str, Any]:
        """As Single's, so that a replica may go on either way."""

        def own(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            return [tensor[position].detach().clone() for tensor in tensors]

        state: dict[str, Any] = {
            "average": own(self.average),
            "anchors": self.anchors[position].clone(),
            "sums": self.sums[position].clone(),
        }
        for player, optimizer in self.optimizers.items():
            state[player], state[f"{player}_directions"] = own(self.weights[player]), own(self.directions[player])
            state[f"{player}_optimizer"] = {
                "first": own(optimizer.first),
                "second": own(optimizer.second),
                "steps": optimizer.steps,
            }
        return state

    @torch.no_grad()
    def keep(self, positions: list[int]) -> None:
        """Go on with these replicas only."""
        if not positions:
            return
        kept = torch.tensor(positions, device=self.device)
        self.keys, self.sums, self.anchors = self.keys[kept], self.sums[kept], self.anchors[kept]
        self.average = [tensor[kept] for tensor in self.average]
        for player, optimizer in self.optimizers.items():
            self.weights[player] = [weight[kept].detach().requires_grad_() for weight in self.weights[player]]
            self.directions[player] = [direction[kept] for direction in self.directions[player]]
            optimizer.keep(self.weights[player], kept)
        self._forget_graph()


def _stack(lists: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.stack(each) for each in zip(*lists)]
