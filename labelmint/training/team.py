"""One replica's networks, optimizers and averaged weights, and the operations that training needs of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.initialization import draw_latents, initialize, spectral_layers, with_own_statistics
from labelmint.gans.layers import power_iteration
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream, fold
from labelmint.training import optimizers
from labelmint.training.diffaugment import augments, differentiable
from labelmint.training.image_ops import mirror, rotate
from labelmint.training.settings import Training
from labelmint.training.updates import TRACKED, UPDATES, D, G, Players, Real

Inputs = Iterable[tuple[torch.Tensor, torch.Tensor]]
"""Batches of latents, float (N, latent_size), and labels, float (N, K)."""


class Batch(NamedTuple):
    """Input of one training step.

    images: uint8 ([R,] N, C, S, S). labels: float ([R,] N, K).
    mirrored: bool ([R,] N), whether an image may be flipped.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mirrored: torch.Tensor

    @classmethod
    def unlabelled(cls, images: torch.Tensor, mirrored: bool = False) -> Batch:
        count, device = images.shape[:-3], images.device
        return cls(images, torch.zeros(*count, 0, device=device), torch.full(count, mirrored, device=device))


def prepared(batch: Batch, training: Training, any_mirrored: bool, stream: Stream) -> torch.Tensor:
    """Real images of one replica's step, float (N, C, S, S) in [-1, 1]."""
    images = normalize(batch.images)
    if any_mirrored:
        images = mirror(images, batch.mirrored, stream)
    return rotate(images, training.rotation, stream) if training.rotation else images


class Team(Players, Protocol):
    """Replicas that step together in one process: one (Single) or a stack (Stacked)."""

    def train_step(self, number: int, batch: Batch, learning_rate_factor: float, ema_weight: float) -> None:
        """Train for one step. number: of the step, from 0; it keys all random draws.

        learning_rate_factor: multiplies both learning rates.
        ema_weight: weight of the new weights in the moving average.
        """

    def means(self, position: int, steps: int) -> list[float]:
        """Means of the TRACKED numbers over the last `steps` steps; resets their sums."""

    def published(self, position: int, batches: Inputs) -> nn.Module:
        """The averaged generator in evaluation mode, with batch-norm statistics computed over `batches`."""

    def trained_discriminator(self, position: int) -> nn.Module:
        """The current discriminator. It has no batch-norm statistics: training collects none."""

    def state(self, position: int) -> dict[str, Any]:
        """Everything that training changes: tensors, and lists and dicts of tensors."""

    def keep(self, positions: list[int]) -> None:
        """Continue with only these replicas."""

    def shard(self, indices: np.ndarray) -> np.ndarray:
        """The part of a batch that this process trains on."""
        return indices

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether to stop after this step, agreed on by all processes."""
        return wanted


class Single(Team):
    """One replica as plain modules, for a CPU.

    family_name, family: what is trained. shape: (C, S, S). labels: length of a label, 0 for none.
    seed: all randomness derives from it; every draw has its own key, (seed, step, number of the draw).
    mirrored: whether any real image may be flipped.
    """

    def __init__(
        self,
        family_name: str,
        family: Family,
        training: Training,
        shape: tuple[int, int, int],
        *,
        labels: int,
        seed: int,
        mirrored: bool,
        device: torch.device,
    ):
        self.family, self.training, self.shape, self.device = family, training, shape, device
        self.labels, self.seed, self.mirrored = labels, seed, mirrored
        self.module = registry.load(family_name)
        self.networks: dict[str, nn.Module] = {
            G: self.module.build_generator(family, shape, labels),
            D: self.module.build_discriminator(family, shape, labels),
        }
        rng = torch.Generator().manual_seed(derive_seed(seed, "initial weights"))
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)
            initialize(network, family.initialization, rng)
            network.to(device)
        self.weights: dict[str, list[torch.Tensor]] = {
            player: list(network.parameters()) for player, network in self.networks.items()
        }
        self.optimizers = {
            G: optimizers.build(self.weights[G], family.generator_optimizer),
            D: optimizers.build(self.weights[D], family.discriminator_optimizer),
        }
        self.spectral_indices: dict[str, list[int]] = {}
        self.directions: dict[str, list[torch.Tensor]] = {}
        for player, network in self.networks.items():
            layers = spectral_layers(network)
            index = {id(weight): number for number, weight in enumerate(self.weights[player])}
            self.spectral_indices[player] = [index[id(layer.weight)] for layer in layers]
            self.directions[player] = [layer.direction for layer in layers]
        self.average = [weight.detach().clone() for weight in self.weights[G]]
        self.objective, self.update = self.module.objective(family), UPDATES[family.update]
        self.anchors = torch.zeros(2, device=device)
        self.sums = torch.zeros(len(TRACKED), device=device)

    def train_step(self, number: int, batch: Batch, learning_rate_factor: float, ema_weight: float) -> None:
        self.step_key, self.draws, self.learning_rate_factor = (
            fold(self.seed, number),
            0,
            learning_rate_factor,
        )
        images = prepared(batch, self.training, self.mirrored, self._open(fold(self.step_key, 0)))
        self.sums += self.update(self, Real(images, batch.labels))
        torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights[G]], ema_weight)

    def _stream(self) -> Stream:
        """The stream of the step's next draw."""
        self.draws += 1
        return self._open(fold(self.step_key, self.draws))

    def _open(self, key: int | torch.Tensor) -> Stream:
        return Stream(key, self.device)

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.generator(draw_latents(len(labels), self.family, self._stream()), labels)

    def uniform(self, count: int) -> torch.Tensor:
        return self._stream().uniform(count)

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        return differentiable(images, self.training, self._stream()) if augments(self.training) else images

    def generator(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = self.networks[G](latents, labels)
        return images, labels

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.networks[D](images, labels, self._stream())
        return outputs

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        norm: torch.Tensor = torch.stack(list(torch._foreach_norm(gradients))).norm()
        return norm

    def step(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.optimizers[player].step(gradients, self.learning_rate_factor)
        after_step(
            self.family, player, self.weights[player], self.spectral_indices[player], self.directions[player]
        )

    def means(self, position: int, steps: int) -> list[float]:
        means: list[float] = (self.sums / steps).tolist()
        self.sums.zero_()
        return means

    def published(self, position: int, batches: Inputs) -> nn.Module:
        network = self.module.build_generator(self.family, self.shape, self.labels)
        return published(network, self.average, batches)

    def trained_discriminator(self, position: int) -> nn.Module:
        network = self.module.build_discriminator(self.family, self.shape, self.labels)
        return trained_discriminator(network, self.state(position))

    def state(self, position: int) -> dict[str, Any]:
        with torch.no_grad():
            return {
                **{
                    player: [weight.detach() for weight in weights]
                    for player, weights in self.weights.items()
                },
                **{f"{player}_optimizer": optimizer.state() for player, optimizer in self.optimizers.items()},
                **{f"{player}_directions": directions for player, directions in self.directions.items()},
                "average": self.average,
                "anchors": self.anchors,
                "sums": self.sums,
            }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned, of this class or of Stacked."""
        pairs = [(self.average, state["average"])]
        for player in (G, D):
            pairs += [
                (self.weights[player], state[player]),
                (self.directions[player], state[f"{player}_directions"]),
            ]
            self.optimizers[player].load(state[f"{player}_optimizer"])
        for own, saved in pairs:
            for tensor, value in zip(own, saved, strict=True):
                tensor.copy_(value)
        self.anchors.copy_(state["anchors"])
        self.sums.copy_(state["sums"])

    def keep(self, positions: list[int]) -> None:
        """Do nothing: there are no others."""


@torch.no_grad()
def after_step(
    family: Family,
    player: str,
    weights: list[torch.Tensor],
    spectral_indices: list[int],
    directions: list[torch.Tensor],
) -> None:
    """Clip D's weights, and update the singular vectors of spectral normalisation.

    spectral_indices: indices, among `weights`, of those under spectral normalisation.
    directions: their singular vectors.
    """
    if player == D and family.clip:
        torch._foreach_clamp_min_(weights, -family.clip)
        torch._foreach_clamp_max_(weights, family.clip)
    for index, direction in zip(spectral_indices, directions, strict=True):
        rows = weights[index].flatten(direction.dim())
        direction.copy_(power_iteration(rows, direction))


@torch.no_grad()
def published(network: nn.Module, average: list[torch.Tensor], batches: Inputs) -> nn.Module:
    """`network` in evaluation mode, with the weights `average` and batch-norm statistics over `batches`."""
    network.requires_grad_(False).to(average[0].device).to(memory_format=torch.channels_last)
    for own, value in zip(network.parameters(), average, strict=True):
        own.copy_(value)
    return with_own_statistics(network, batches)


@torch.no_grad()
def trained_discriminator(network: nn.Module, state: dict[str, Any]) -> nn.Module:
    """`network` with the discriminator's weights from `state`."""
    own = [*network.parameters(), *(layer.direction for layer in spectral_layers(network))]
    for tensor, value in zip(own, [*state[D], *state[f"{D}_directions"]], strict=True):
        tensor.copy_(value)
    return network
