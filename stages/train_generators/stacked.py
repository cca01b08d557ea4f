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

from stages.prepare.pixels import normalize
from stages.train_generators.augment import mirror, translate
from stages.train_generators.networks import draw_latents
from stages.train_generators.randomness import Stream, fold
from stages.train_generators.team import Adam, Single, Team, published
from stages.train_generators.updates import D, G

_WARM_UP = 3
"""Steps before a graph is captured: libraries choose their algorithms meanwhile."""


class Stacked(Team):
    """Replicas of one family, shape and device, all at the same step. The stack is the first dimension of every tensor.

    bf16: networks compute in bfloat16 (weights, losses and statistics stay float32). graphs: capture CUDA graphs.
    """

    def __init__(self, singles: list[Single], bf16: bool = False, graphs: bool = True):
        first = singles[0]
        self.family, self.training, self.shape, self.device = first.family, first.training, first.shape, first.device
        self.module, self.objective, self.update = first.module, first.objective, first.update
        self.bf16, self.graphs = bf16, graphs and self.device.type == "cuda"
        self.networks = first.networks
        self.names = {
            player: [name for name, _ in network.named_parameters()] for player, network in self.networks.items()
        }
        self.keys = torch.tensor([single.seed for single in singles], device=self.device)
        self.mirrored = torch.tensor([single.mirrored for single in singles], device=self.device)
        self.any_mirrored = any(single.mirrored for single in singles)
        self.weights = {
            player: [
                torch.stack(each).detach().requires_grad_()
                for each in zip(*(single.weights[player] for single in singles))
            ]
            for player in (G, D)
        }
        self.adam = {player: Adam(self.weights[player], first.adam[player].params) for player in (G, D)}
        for player, adam in self.adam.items():
            stack = [single.adam[player].state() for single in singles]
            adam.load(
                {
                    name: [torch.stack(each) for each in zip(*(one[name] for one in stack))]
                    for name in ("first", "second")
                }
                | {"steps": stack[0]["steps"]}
            )
        self.average = [torch.stack(each) for each in zip(*(single.average for single in singles))]
        self.sums = torch.stack([single.sums for single in singles])
        self._forget_graph()

    def _forget_graph(self) -> None:
        self.graph: torch.cuda.CUDAGraph | None = None
        self.taken = 0
        self.real: torch.Tensor | None = None
        self.number = torch.zeros((), dtype=torch.int64, device=self.device)
        self.share, self.newest = (torch.zeros((), device=self.device) for _ in range(2))

    def step(self, number: int, real: torch.Tensor, share: float, newest: float) -> None:
        """real: uint8 (R, N, C, S, S). share: of the learning rates. newest: weight of the new weights in the average."""
        self.number.fill_(number)
        self.share.fill_(share)
        self.newest.fill_(newest)
        if self.real is None:
            self.real = torch.empty_like(real)
        self.real.copy_(real, non_blocking=True)
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
        real = normalize(self.real)
        if self.any_mirrored:
            real = torch.vmap(lambda images, allowed, key: mirror(images, allowed, Stream(key)))(
                real, self.mirrored, fold(self.step_keys, 0)
            )
        self.sums += self.update(self, real)
        with torch.no_grad():
            for average, weight in zip(self.average, self.weights[G]):
                average.lerp_(weight, self.newest)

    def _keys(self) -> torch.Tensor:
        self.calls += 1
        return fold(self.step_keys, self.calls)

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def latents(self, count: int) -> torch.Tensor:
        return torch.vmap(lambda key: draw_latents(count, self.family, Stream(key)))(self._keys())

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training.translation:
            return images
        share = self.training.translation
        return torch.vmap(lambda images, key: translate(images, share, Stream(key)))(images, self._keys())

    def generator(self, latents: torch.Tensor) -> torch.Tensor:
        def one(weights: list[torch.Tensor], latents: torch.Tensor) -> torch.Tensor:
            return functional_call(self.networks[G], dict(zip(self.names[G], weights)), (latents,))

        with self._precision():
            return torch.vmap(one)(self.weights[G], latents).float()

    def discriminator(self, images: torch.Tensor) -> torch.Tensor:
        def one(weights: list[torch.Tensor], images: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return functional_call(self.networks[D], dict(zip(self.names[D], weights)), (images, Stream(key)))

        with self._precision():
            return torch.vmap(one)(self.weights[D], images, self._keys()).float()

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        # The sum's gradient in one replica's weights is that of its own loss.
        return list(torch.autograd.grad(loss.sum(), self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)

    def descend(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.adam[player].step(gradients, self.share)

    def means(self, position: int, steps: int) -> list[float]:
        means = (self.sums[position] / steps).tolist()
        self.sums[position].zero_()
        return means

    def published(self, position: int, batches: Iterable[torch.Tensor]) -> nn.Module:
        network = self.module.build_generator(self.family, self.shape)
        return published(network, [average[position] for average in self.average], batches)

    def state(self, position: int) -> dict[str, Any]:
        """As Single's, so that a replica may go on either way."""
        adams = {
            f"{player}_adam": {
                "first": [tensor[position].clone() for tensor in adam.first],
                "second": [tensor[position].clone() for tensor in adam.second],
                "steps": adam.steps,
            }
            for player, adam in self.adam.items()
        }
        weights = {player: [weight[position].detach().clone() for weight in self.weights[player]] for player in (G, D)}
        average = [tensor[position].clone() for tensor in self.average]
        return {**weights, **adams, "average": average, "sums": self.sums[position].clone()}

    @torch.no_grad()
    def keep(self, positions: list[int]) -> None:
        """Go on with these replicas only."""
        if not positions:
            return
        kept = torch.tensor(positions, device=self.device)
        self.keys, self.mirrored, self.sums = self.keys[kept], self.mirrored[kept], self.sums[kept]
        self.average = [tensor[kept] for tensor in self.average]
        for player, adam in self.adam.items():
            self.weights[player] = [weight[kept].detach().requires_grad_() for weight in self.weights[player]]
            adam.weights = self.weights[player]
            adam.first, adam.second = ([tensor[kept] for tensor in tensors] for tensors in (adam.first, adam.second))
        self._forget_graph()
