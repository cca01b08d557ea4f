"""One replica's networks, optimizers and averaged weights, and its training step.

The step reads and changes tensors of its device only; `prepare` writes what differs between steps into them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

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
from labelmint.training.diffaugment import augments, differentiable
from labelmint.training.engine import optimizers
from labelmint.training.engine.precision import autocast
from labelmint.training.engine.step_inputs import StepDraws, StepInput
from labelmint.training.image_ops import mirror, rotate
from labelmint.training.settings import Training
from labelmint.training.updates import TRACKED, UPDATES, D, G, Gan, Real

Inputs = Iterable[tuple[torch.Tensor, torch.Tensor]]
"""Batches of latents, float (N, latent_size), and labels, float (N, K)."""


class Batch(NamedTuple):
    """Real images of one training step.

    images: uint8 (N, C, S, S). labels: float (N, K). mirrored: bool (N,), whether an image may be flipped.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mirrored: torch.Tensor

    @classmethod
    def unlabelled(cls, images: torch.Tensor, mirrored: bool = False) -> Batch:
        count, device = len(images), images.device
        return cls(
            images, torch.zeros(count, 0, device=device), torch.full((count,), mirrored, device=device)
        )


def prepared(batch: Batch, training: Training, any_mirrored: bool, stream: Stream) -> torch.Tensor:
    """Real images of one replica's step, float (N, C, S, S) in [-1, 1]."""
    images = normalize(batch.images)
    if any_mirrored:
        images = mirror(images, batch.mirrored, stream)
    return rotate(images, training.rotation, stream) if training.rotation else images


class GanLearner(Gan):
    """The networks of one replica in training.

    family_name, family: what is trained. shape: (C, S, S). labels: length of a label, 0 for none.
    seed: all randomness derives from it; every draw has its own key, (seed, step, number of the draw).
    mirrored: whether any real image may be flipped. bf16: networks compute in bfloat16; weights, losses and
    statistics stay float32.
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
        bf16: bool = False,
    ):
        self.family, self.training, self.shape, self.device = family, training, shape, device
        self.labels, self.seed, self.mirrored, self.bf16 = labels, seed, mirrored, bf16
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
        self.anchors = torch.zeros(3, device=device)
        self.sums = torch.zeros(len(TRACKED), device=device)
        self.draws = StepDraws(device)
        # Rates of G and D, and the weight of the average. A CPU's kernels read rates in float64, others in
        # float32.
        self.rates = StepInput((3,), torch.float64 if device.type == "cpu" else torch.float32, device)
        self._published: nn.Module | None = None

    def prepare(self, number: int, learning_rate_factor: float, ema_weight: float) -> None:
        """Host: write what the next step needs beside its images.

        number: of the step, from 0; it keys all random draws. learning_rate_factor: multiplies both learning
        rates. ema_weight: weight of the new weights in the moving average.
        """
        self.draws.prepare(fold(self.seed, number))
        settings = (self.family.generator_optimizer, self.family.discriminator_optimizer)
        rates = [each.learning_rate * learning_rate_factor for each in settings]
        self.rates.write([*rates, ema_weight])

    def step(self, batch: Batch) -> None:
        """Device: train for one step."""
        self.draws.begin()
        self.streams = 0
        *rates, ema_weight = self.rates.values.unbind()
        self.learning_rates = dict(zip((G, D), rates))
        images = prepared(batch, self.training, self.mirrored, self._open(0))
        self.sums += self.update(self, Real(images, batch.labels))
        optimizers.average(self.average, self.weights[G], ema_weight.float())

    def _open(self, number: int) -> Stream:
        """Stream `number` of the step."""
        return self.draws.stream(number)

    def _stream(self) -> Stream:
        """The stream of the step's next draw."""
        self.streams += 1
        return self._open(self.streams)

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latents = draw_latents(len(labels), self.family, self._stream())
        with autocast(self.device, self.bf16):
            images, labels = self._generator()(latents, labels)
        return images.float(), labels.float()

    def uniform(self, count: int) -> torch.Tensor:
        return self._stream().uniform(count)

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        return differentiable(images, self.training, self._stream()) if augments(self.training) else images

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with autocast(self.device, self.bf16):
            outputs: torch.Tensor = self._discriminator(images)(images, labels, self._stream())
        return outputs.float()

    def _generator(self) -> nn.Module:
        return self.networks[G]

    def _discriminator(self, images: torch.Tensor) -> nn.Module:
        return self.networks[D]

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        norm: torch.Tensor = torch.stack(list(torch._foreach_norm(gradients))).norm()
        return norm

    @torch.no_grad()
    def update_weights(self, player: str, gradients: list[torch.Tensor]) -> None:
        """Step the optimizer, then clip D's weights and update the vectors of spectral normalisation."""
        weights = self.weights[player]
        self.optimizers[player].step(gradients, self.learning_rates[player])
        if player == D and self.family.clip:
            torch._foreach_clamp_min_(weights, -self.family.clip)
            torch._foreach_clamp_max_(weights, self.family.clip)
        for index, direction in zip(self.spectral_indices[player], self.directions[player], strict=True):
            direction.copy_(power_iteration(weights[index].flatten(1), direction))

    def means(self, steps: int) -> list[float]:
        """Means of the TRACKED numbers over the last `steps` steps; resets their sums."""
        means: list[float] = (self.sums / steps).tolist()
        self.sums.zero_()
        return means

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        weights = [*self.weights[G], *self.weights[D], *self.average]
        return bool(torch.stack([weight.isfinite().all() for weight in weights]).all())

    @torch.no_grad()
    def published(self, batches: Inputs) -> nn.Module:
        """The averaged generator in evaluation mode, with batch-norm statistics over `batches`.

        It is the same module in every call.
        """
        if self._published is None:
            network = self.module.build_generator(self.family, self.shape, self.labels).requires_grad_(False)
            self._published = network.to(self.device).to(memory_format=torch.channels_last)
        for own, value in zip(self._published.parameters(), self.average, strict=True):
            own.copy_(value)
        return with_own_statistics(self._published, batches)

    @torch.no_grad()
    def trained_discriminator(self) -> nn.Module:
        """The current discriminator. It has no batch-norm statistics: training collects none."""
        network = self.module.build_discriminator(self.family, self.shape, self.labels)
        own = [*network.parameters(), *(layer.direction for layer in spectral_layers(network))]
        for tensor, value in zip(own, [*self.weights[D], *self.directions[D]], strict=True):
            tensor.copy_(value)
        return network

    def shard(self, indices: np.ndarray) -> np.ndarray:
        """The part of a batch that this process trains on."""
        return indices

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether to stop after this step, agreed on by all processes."""
        return wanted

    def state(self) -> dict[str, Any]:
        """Everything that training changes: tensors, and lists and dicts of tensors."""
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
        """Continue from what `state` returned."""
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
