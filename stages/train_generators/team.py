"""One replica's networks, optimizers and average; and what it takes to step, to stop and to go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from stages.prepare.pixels import normalize
from stages.prepare.splits import derive_seed
from stages.train_generators import families
from stages.train_generators.augment import mirror, translate
from stages.train_generators.networks import draw_latents, initialize, with_own_statistics
from stages.train_generators.params import Adam as AdamParams
from stages.train_generators.params import Family, Training
from stages.train_generators.randomness import Stream, fold
from stages.train_generators.updates import TRACKED, UPDATES, D, G, Players


class Adam:
    """torch's fused kernel on a list of tensors.

    torch.optim.Adam runs the same kernel, but its first use imports torch's compiler, which takes 3 seconds a process.
    """

    def __init__(self, weights: list[torch.Tensor], params: AdamParams):
        self.weights, self.params = weights, params
        weights = [weight.detach() for weight in weights]
        self.first = [torch.zeros_like(weight) for weight in weights]
        self.second = [torch.zeros_like(weight) for weight in weights]
        self.steps = [torch.zeros((), device=weight.device) for weight in weights]

    def step(self, gradients: list[torch.Tensor], share: float | torch.Tensor) -> None:
        """share: of the learning rate, by its schedule."""
        # The kernel walks through memory: a gradient must be laid out as its weight, which autograd.grad does not promise.
        gradients = [
            gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)
            for weight, gradient in zip(self.weights, gradients, strict=True)
        ]
        torch._foreach_add_(self.steps, 1)
        torch._fused_adam_(
            self.weights, gradients, self.first, self.second, [], self.steps,
            lr=self.params.learning_rate * share, beta1=self.params.beta1, beta2=self.params.beta2,
            weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        for name, tensors in self.state().items():
            for own, saved in zip(tensors, state[name], strict=True):
                own.copy_(saved)


class Team(Players):
    """Replicas that step together, in one process."""

    def mine(self, places: np.ndarray) -> np.ndarray:
        """This process's share of a batch."""
        return places

    def all_stop(self, wanted: bool, step: int) -> bool:
        """Whether to stop after this step, where several processes must agree."""
        return wanted


class Single(Team):
    """One replica as plain modules, for a CPU.

    family_name, family: what is trained. shape: (C, S, S). seed: all its randomness comes from it.
    mirrored: whether real images may be flipped. Every draw has its own key, (seed, step, number of the draw).
    """

    def __init__(
        self, family_name: str, family: Family, training: Training, shape: tuple[int, int, int],
        seed: int, mirrored: bool, device: torch.device,
    ):  # fmt: skip
        self.family, self.training, self.shape, self.device = family, training, shape, device
        self.seed, self.mirrored = seed, mirrored
        self.module = families.load(family_name)
        self.networks = {
            G: self.module.build_generator(family, shape),
            D: self.module.build_discriminator(family, shape),
        }
        rng = torch.Generator().manual_seed(derive_seed(seed, "initial weights"))
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)
            initialize(network, family.initialization, rng)
            network.to(device)
        self.weights = {player: list(network.parameters()) for player, network in self.networks.items()}
        self.adam = {
            G: Adam(self.weights[G], family.generator_optimizer),
            D: Adam(self.weights[D], family.discriminator_optimizer),
        }
        self.average = [weight.detach().clone() for weight in self.weights[G]]
        self.objective, self.update = self.module.objective(family), UPDATES[family.update]
        self.sums = torch.zeros(len(TRACKED), device=device)

    def step(self, number: int, real: torch.Tensor, share: float, newest: float) -> None:
        """real: uint8 (N, C, S, S). share: of the learning rates. newest: weight of the new weights in the average."""
        self.step_key, self.calls, self.share = fold(self.seed, number), 0, share
        real = normalize(real)
        if self.mirrored:
            real = mirror(real, True, self._open(fold(self.step_key, 0)))
        self.sums += self.update(self, real)
        torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights[G]], newest)

    def _stream(self) -> Stream:
        self.calls += 1
        return self._open(fold(self.step_key, self.calls))

    def _open(self, key: int) -> Stream:
        return Stream(key, self.device)

    def latents(self, count: int) -> torch.Tensor:
        return draw_latents(count, self.family, self._stream())

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training.translation:
            return images
        return translate(images, self.training.translation, self._stream())

    def generator(self, latents: torch.Tensor) -> torch.Tensor:
        return self.networks[G](latents)

    def discriminator(self, images: torch.Tensor) -> torch.Tensor:
        return self.networks[D](images, self._stream())

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        return list(torch.autograd.grad(loss, self.weights[player], retain_graph=retain))

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(torch._foreach_norm(gradients)).norm()

    def descend(self, player: str, gradients: list[torch.Tensor]) -> None:
        self.adam[player].step(gradients, self.share)

    def means(self, position: int, steps: int) -> list[float]:
        """The TRACKED numbers over the last `steps` steps, which are then forgotten."""
        means = (self.sums / steps).tolist()
        self.sums.zero_()
        return means

    def published(self, position: int, batches: Iterable[torch.Tensor]) -> nn.Module:
        """The averaged generator, its batch normalisation knowing the statistics over `batches` of latents."""
        return published(self.module.build_generator(self.family, self.shape), self.average, batches)

    def state(self, position: int) -> dict[str, Any]:
        """All that changes while it trains: tensors and lists and dicts of them."""
        with torch.no_grad():
            return {
                **{player: [weight.detach() for weight in weights] for player, weights in self.weights.items()},
                **{f"{player}_adam": adam.state() for player, adam in self.adam.items()},
                "average": self.average,
                "sums": self.sums,
            }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        for own, saved in (
            *((self.weights[player], state[player]) for player in (G, D)),
            (self.average, state["average"]),
        ):
            for tensor, value in zip(own, saved, strict=True):
                tensor.copy_(value)
        for player, adam in self.adam.items():
            adam.load(state[f"{player}_adam"])
        self.sums.copy_(state["sums"])

    def keep(self, positions: list[int]) -> None:
        """Go on without the others."""


@torch.no_grad()
def published(network: nn.Module, average: list[torch.Tensor], batches: Iterable[torch.Tensor]) -> nn.Module:
    network.to(device=average[0].device, memory_format=torch.channels_last).requires_grad_(False)
    for own, value in zip(network.parameters(), average, strict=True):
        own.copy_(value)
    return with_own_statistics(network, batches)
