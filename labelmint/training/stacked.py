"""A stack of replicas on one device: their weights are stacked, and each operation runs once for all of them.

torch.vmap runs the plain modules of `Single` over the stack; convolutions become grouped ones.
On a GPU a whole step is one CUDA graph: launching its many small kernels would take longer than running them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from labelmint.gans.initialization import draw_latents
from labelmint.random_streams import Stream, fold
from labelmint.training.diffaugment import augments, differentiable
from labelmint.training.team import (
    Batch,
    Inputs,
    Single,
    Team,
    after_step,
    prepared,
    published,
    trained_discriminator,
)
from labelmint.training.updates import D, G, Real

_WARM_UP_STEPS = 3
"""Steps before the capture of a graph: libraries choose their algorithms meanwhile."""


class Stacked(Team):
    """Replicas of one family, shape and device, all at the same step.

    The first dimension of every tensor is the replica.
    bf16: networks compute in bfloat16; weights, losses and statistics stay float32.
    graphs: capture CUDA graphs.
    """

    def __init__(self, singles: list[Single], bf16: bool = False, graphs: bool = True):
        first = singles[0]
        self.family, self.training, self.shape, self.device = (
            first.family,
            first.training,
            first.shape,
            first.device,
        )
        self.labels, self.module = first.labels, first.module
        self.objective, self.update = first.objective, first.update
        self.bf16, self.graphs = bf16, graphs and self.device.type == "cuda"
        self.networks, self.spectral_indices = first.networks, first.spectral_indices
        self.names = {
            player: [name for name, _ in network.named_parameters()]
            + [name for name, _ in network.named_buffers() if name.endswith("direction")]
            for player, network in self.networks.items()
        }
        self.keys = torch.tensor([single.seed for single in singles], device=self.device)
        self.mirrored = any(single.mirrored for single in singles)
        self.weights = {
            player: [
                weight.detach().requires_grad_()
                for weight in _stack([one.weights[player] for one in singles])
            ]
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
        self.steps_taken = 0
        self.batch: Batch | None = None
        self.number = torch.zeros((), dtype=torch.int64, device=self.device)
        self.learning_rate_factor, self.ema_weight = (torch.zeros((), device=self.device) for _ in range(2))

    def train_step(self, number: int, batch: Batch, learning_rate_factor: float, ema_weight: float) -> None:
        self.number.fill_(number)
        self.learning_rate_factor.fill_(learning_rate_factor)
        self.ema_weight.fill_(ema_weight)
        if self.batch is None:
            self.batch = Batch(*(torch.empty_like(part) for part in batch))
        for own, part in zip(self.batch, batch):
            own.copy_(part, non_blocking=True)
        self.steps_taken += 1
        if not self.graphs:
            self._run_step(self.batch)
        elif self.steps_taken <= _WARM_UP_STEPS:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no type for it
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._run_step(self.batch)
            torch.cuda.current_stream().wait_stream(side)
        else:
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self._run_step(self.batch)
            self.graph.replay()

    def _run_step(self, batch: Batch) -> None:
        self.step_keys, self.draws = fold(self.keys, self.number), 0

        def one(
            images: torch.Tensor, labels: torch.Tensor, mirrored: torch.Tensor, key: torch.Tensor
        ) -> torch.Tensor:
            return prepared(Batch(images, labels, mirrored), self.training, self.mirrored, Stream(key))

        images = torch.vmap(one)(*batch, fold(self.step_keys, 0))
        self.sums += self.update(self, Real(images, batch.labels))
        with torch.no_grad():
            for average, weight in zip(self.average, self.weights[G]):
                average.lerp_(weight, self.ema_weight)

    def _keys(self) -> torch.Tensor:
        """One key per replica for the step's next draw."""
        self.draws += 1
        return fold(self.step_keys, self.draws)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def one(
            weights: list[torch.Tensor], labels: torch.Tensor, key: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            latents = draw_latents(len(labels), self.family, Stream(key))
            images, labels = functional_call(
                self.networks[G], dict(zip(self.names[G], weights)), (latents, labels)
            )
            return images, labels

        with self._precision():
            images, labels = torch.vmap(one)(self.weights[G] + self.directions[G], labels, self._keys())
        return images.float(), labels.float()

    def uniform(self, count: int) -> torch.Tensor:
        return torch.vmap(lambda key: Stream(key).uniform(count))(self._keys())

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        if not augments(self.training):
            return images
        return torch.vmap(lambda images, key: differentiable(images, self.training, Stream(key)))(
            images, self._keys()
        )

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        def one(
            weights: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor, key: torch.Tensor
        ) -> torch.Tensor:
            outputs: torch.Tensor = functional_call(
                self.networks[D], dict(zip(self.names[D], weights)), (images, labels, Stream(key))
            )
            return outputs

        with self._precision():
            weights = self.weights[D] + self.directions[D]
            return torch.vmap(one)(weights, images, labels, self._keys()).float()

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        # With respect to one replica's weights, the gradient of the sum is that of the replica's own loss.
        return list(torch.autograd.grad(loss.sum(), self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        norms: list[torch.Tensor] = [gradient.flatten(1).norm(dim=1) for gradient in gradients]
        total: torch.Tensor = torch.stack(norms).norm(dim=0)
        return total

    def step(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.optimizers[player].step(gradients, self.learning_rate_factor)
        after_step(
            self.family, player, self.weights[player], self.spectral_indices[player], self.directions[player]
        )

    def means(self, position: int, steps: int) -> list[float]:
        means: list[float] = (self.sums[position] / steps).tolist()
        self.sums[position].zero_()
        return means

    def published(self, position: int, batches: Inputs) -> nn.Module:
        network = self.module.build_generator(self.family, self.shape, self.labels)
        return published(network, [average[position] for average in self.average], batches)

    def trained_discriminator(self, position: int) -> nn.Module:
        network = self.module.build_discriminator(self.family, self.shape, self.labels)
        return trained_discriminator(network, self.state(position))

    def state(self, position: int) -> dict[str, Any]:
        """The state of one replica, as Single.state returns it, so that training can resume either way."""

        def own(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            return [tensor[position].detach().clone() for tensor in tensors]

        state: dict[str, Any] = {
            "average": own(self.average),
            "anchors": self.anchors[position].clone(),
            "sums": self.sums[position].clone(),
        }
        for player, optimizer in self.optimizers.items():
            state[player], state[f"{player}_directions"] = (
                own(self.weights[player]),
                own(self.directions[player]),
            )
            state[f"{player}_optimizer"] = {
                "first": own(optimizer.first),
                "second": own(optimizer.second),
                "steps": optimizer.steps,
            }
        return state

    @torch.no_grad()
    def keep(self, positions: list[int]) -> None:
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
