"""One replica's networks, optimizers and average; and what it takes to step, to stop and to go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.initialization import draw_latents, initialize, limited, with_own_statistics
from labelmint.gans.layers import power_iteration
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream, fold
from labelmint.training import optimizers
from labelmint.training.diffaugment import augments, differentiable
from labelmint.training.image_ops import mirror, rotate
from labelmint.training.settings import Training
from labelmint.training.updates import TRACKED, UPDATES, D, G, Players, Real


class Batch(NamedTuple):
    """What a step is given. images: uint8 ([R,] N, C, S, S). labels: float ([R,] N, K). mirrored: bool ([R,] N), which may be flipped."""

    images: torch.Tensor
    labels: torch.Tensor
    mirrored: torch.Tensor

    @classmethod
    def unlabelled(cls, images: torch.Tensor, mirrored: bool = False) -> Batch:
        count, device = images.shape[:-3], images.device
        return cls(images, torch.zeros(*count, 0, device=device), torch.full(count, mirrored, device=device))


def prepared(batch: Batch, training: Training, any_mirrored: bool, stream: Stream) -> torch.Tensor:
    """The real images of a step, for one replica: float (N, C, S, S)."""
    images = normalize(batch.images)
    if any_mirrored:
        images = mirror(images, batch.mirrored, stream)
    return rotate(images, training.rotation, stream) if training.rotation else images


class Team(Players):
    """Replicas that step together, in one process."""

    def mine(self, places: np.ndarray) -> np.ndarray:
        """This process's share of a batch."""
        return places

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether to stop after this step, where several processes must agree."""
        return wanted


@torch.no_grad()
def settle(
    family: Family, player: str, weights: list[torch.Tensor], limited: list[int], directions: list[torch.Tensor]
) -> None:
    """What follows a step of a player: clipped weights; singular vectors brought up to date.

    limited: places, among `weights`, of those under spectral normalisation; directions: theirs.
    """
    if player == D and family.clip:
        torch._foreach_clamp_min_(weights, -family.clip)
        torch._foreach_clamp_max_(weights, family.clip)
    for place, direction in zip(limited, directions, strict=True):
        rows = weights[place].flatten(direction.dim())
        direction.copy_(power_iteration(rows, direction))


class Single(Team):
    """One replica as plain modules, for a CPU.

    family_name, family: what is trained. shape: (C, S, S). labels: length of a label, 0 for none. seed: all its randomness
    comes from it. mirrored: whether any real image may be flipped. Every draw has its own key, (seed, step, number of the draw).
    """

    def __init__(
        self, family_name: str, family: Family, training: Training, shape: tuple[int, int, int], labels: int,
        seed: int, mirrored: bool, device: torch.device,
    ):  # fmt: skip
        self.family, self.training, self.shape, self.device = family, training, shape, device
        self.labels, self.seed, self.mirrored = labels, seed, mirrored
        self.module = registry.load(family_name)
        self.networks = {
            G: self.module.build_generator(family, shape, labels),
            D: self.module.build_discriminator(family, shape, labels),
        }
        rng = torch.Generator().manual_seed(derive_seed(seed, "initial weights"))
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)
            initialize(network, family.initialization, rng)
            network.to(device)
        self.weights = {player: list(network.parameters()) for player, network in self.networks.items()}
        self.optimizers = {
            G: optimizers.build(self.weights[G], family.generator_optimizer),
            D: optimizers.build(self.weights[D], family.discriminator_optimizer),
        }
        self.limited, self.directions = {}, {}
        for player, network in self.networks.items():
            layers = limited(network)
            place = {id(weight): number for number, weight in enumerate(self.weights[player])}
            self.limited[player] = [place[id(layer.weight)] for layer in layers]
            self.directions[player] = [layer.direction for layer in layers]
        self.average = [weight.detach().clone() for weight in self.weights[G]]
        self.objective, self.update = self.module.objective(family), UPDATES[family.update]
        self.anchors = torch.zeros(2, device=device)
        self.sums = torch.zeros(len(TRACKED), device=device)

    def train_step(self, number: int, batch: Batch, share: float, newest: float) -> None:
        """share: of the learning rates. newest: weight of the new weights in the average."""
        self.step_key, self.calls, self.share = fold(self.seed, number), 0, share
        images = prepared(batch, self.training, self.mirrored, self._open(fold(self.step_key, 0)))
        self.sums += self.update(self, Real(images, batch.labels))
        torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights[G]], newest)

    def _stream(self) -> Stream:
        self.calls += 1
        return self._open(fold(self.step_key, self.calls))

    def _open(self, key: int) -> Stream:
        return Stream(key, self.device)

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.generator(draw_latents(len(labels), self.family, self._stream()), labels)

    def uniform(self, count: int) -> torch.Tensor:
        return self._stream().uniform(count)

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        return differentiable(images, self.training, self._stream()) if augments(self.training) else images

    def generator(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.networks[G](latents, labels)

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.networks[D](images, labels, self._stream())

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(torch._foreach_norm(gradients)).norm()

    def step(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.optimizers[player].step(gradients, self.share)
        settle(self.family, player, self.weights[player], self.limited[player], self.directions[player])

    def means(self, position: int, steps: int) -> list[float]:
        """The TRACKED numbers over the last `steps` steps, which are then forgotten."""
        means = (self.sums / steps).tolist()
        self.sums.zero_()
        return means

    def published(self, position: int, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> nn.Module:
        """The averaged generator, its batch normalisation knowing the statistics over `batches` of latents and labels."""
        return published(self.module.build_generator(self.family, self.shape, self.labels), self.average, batches)

    def state(self, position: int) -> dict[str, Any]:
        """All that changes while it trains: tensors and lists and dicts of them."""
        with torch.no_grad():
            return {
                **{player: [weight.detach() for weight in weights] for player, weights in self.weights.items()},
                **{f"{player}_optimizer": optimizer.state() for player, optimizer in self.optimizers.items()},
                **{f"{player}_directions": directions for player, directions in self.directions.items()},
                "average": self.average,
                "anchors": self.anchors,
                "sums": self.sums,
            }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        pairs = [(self.average, state["average"])]
        for player in (G, D):
            pairs += [(self.weights[player], state[player]), (self.directions[player], state[f"{player}_directions"])]
            self.optimizers[player].load(state[f"{player}_optimizer"])
        for own, saved in pairs:
            for tensor, value in zip(own, saved, strict=True):
                tensor.copy_(value)
        self.anchors.copy_(state["anchors"])
        self.sums.copy_(state["sums"])

    def keep(self, positions: list[int]) -> None:
        """Go on without the others."""


@torch.no_grad()
def discriminator_of(team: Single, position: int) -> nn.Module:
    """The discriminator as it stands, for its features: without statistics of batch normalisation, which training does not gather."""
    state = team.state(position)
    network = team.module.build_discriminator(team.family, team.shape, team.labels)
    own = [*network.parameters(), *(layer.direction for layer in limited(network))]
    for tensor, value in zip(own, [*state[D], *state[f"{D}_directions"]], strict=True):
        tensor.copy_(value)
    return network


@torch.no_grad()
def published(
    network: nn.Module, average: list[torch.Tensor], batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> nn.Module:
    network.to(device=average[0].device, memory_format=torch.channels_last).requires_grad_(False)
    for own, value in zip(network.parameters(), average, strict=True):
        own.copy_(value)
    return with_own_statistics(network, batches)
