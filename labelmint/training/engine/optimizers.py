"""Optimizers on lists of tensors, and the schedules of the learning rate and of the weight average.

torch.optim's own run the same kernels, but their first use imports torch's compiler: 3 seconds per process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from labelmint.gans import settings as P

_EPSILON = 1e-8


class Adam:
    """Adam by torch's fused kernel (Kingma and Ba 2015).

    weight_decay: subtracted apart from the gradient (AdamW, Loshchilov and Hutter 2019).
    """

    def __init__(self, weights: list[torch.Tensor], beta1: float, beta2: float, weight_decay: float = 0.0):
        self.weights, self.beta1, self.beta2, self.weight_decay = weights, beta1, beta2, weight_decay
        weights = [weight.detach() for weight in weights]
        self.first = [torch.zeros_like(weight) for weight in weights]
        self.second = [torch.zeros_like(weight) for weight in weights]
        self.steps = [torch.zeros((), device=weight.device) for weight in weights]

    def step(self, gradients: list[torch.Tensor], learning_rate: torch.Tensor) -> None:
        """Update the weights.

        learning_rate: a scalar on the weights' device; float64 on a CPU, float32 elsewhere, as kernels read.
        """
        # The kernel walks through memory, so a gradient needs its weight's layout; autograd.grad does not
        # promise it.
        gradients = [
            gradient if _same_layout(gradient, weight) else torch.empty_like(weight).copy_(gradient)
            for weight, gradient in zip(self.weights, gradients, strict=True)
        ]
        torch._foreach_add_(self.steps, 1)
        kernel = torch._fused_adamw_ if self.weight_decay else torch._fused_adam_
        kernel(
            self.weights,
            gradients,
            self.first,
            self.second,
            [],
            self.steps,
            lr=learning_rate,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=self.weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        for name, tensors in self.state().items():
            for own, saved in zip(tensors, state[name], strict=True):
                own.copy_(saved)


def _same_layout(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether both walk through memory alike. The stride of a dimension of one element means nothing."""
    return all(size == 1 or a == b for size, a, b in zip(one.shape, one.stride(), other.stride()))


class RMSProp(Adam):
    """RMSProp (Tieleman and Hinton 2012).

    `second` holds the mean square of the gradients; `first` stays 0.
    """

    @torch.no_grad()
    def step(self, gradients: list[torch.Tensor], learning_rate: torch.Tensor) -> None:
        for weight, gradient, mean_square in zip(self.weights, gradients, self.second, strict=True):
            mean_square.lerp_(gradient.square(), 1 - self.beta2)
            weight.sub_(gradient / (mean_square.sqrt() + _EPSILON) * learning_rate)


class SGD:
    """Gradient descent with momentum and weight decay in the gradient."""

    def __init__(self, weights: list[torch.Tensor], momentum: float, weight_decay: float):
        self.weights, self.momentum, self.weight_decay = weights, momentum, weight_decay
        self.velocity = [torch.zeros_like(weight.detach()) for weight in weights]

    @torch.no_grad()
    def step(self, gradients: list[torch.Tensor], learning_rate: torch.Tensor) -> None:
        """Update the weights. learning_rate: see Adam.step."""
        factor = -learning_rate.float()
        for weight, gradient, velocity in zip(self.weights, gradients, self.velocity, strict=True):
            change = gradient.add(weight, alpha=self.weight_decay) if self.weight_decay else gradient
            if self.momentum:
                change = velocity.mul_(self.momentum).add_(change)
            weight.addcmul_(change, factor)

    def state(self) -> dict[str, Any]:
        return {"velocity": self.velocity}

    def load(self, state: dict[str, Any]) -> None:
        for own, saved in zip(self.velocity, state["velocity"], strict=True):
            own.copy_(saved)


def build(weights: list[torch.Tensor], params: P.Optimizer) -> Adam:
    kind = RMSProp if params.kind == "rmsprop" else Adam
    return kind(weights, params.beta1, params.beta2)


@torch.no_grad()
def average(averages: list[torch.Tensor], weights: list[torch.Tensor], weight_of_new: torch.Tensor) -> None:
    """Move the averages towards the weights. weight_of_new: float32 scalar on their device."""
    if weight_of_new.device.type == "cpu":
        for own, new in zip(averages, weights, strict=True):
            own.lerp_(new, weight_of_new)
        return
    changes = torch._foreach_sub(weights, averages)  # three kernels for all tensors together
    torch._foreach_mul_(changes, weight_of_new)
    torch._foreach_add_(averages, changes)


@dataclass(frozen=True)
class OneCycle:
    """One cycle of cosines (Smith 2018), as torch's OneCycleLR has it.

    A value goes from `first` to `peak` during the fraction `rising` of the steps, then to `last`.
    """

    first: float
    peak: float
    last: float
    rising: float

    @classmethod
    def of_rate(cls, largest: float, rising: float) -> OneCycle:
        """The learning rate, from a 25th of `largest` to almost 0."""
        return cls(largest / 25, largest, largest / 25 / 1e4, rising)

    def at(self, step: int, steps: int) -> float:
        """The value of a step, from 0, of `steps`."""
        turn, end = self.rising * steps - 1, steps - 1
        begin, start, final, stop = 0.0, self.first, self.peak, turn
        if step > turn:
            begin, start, final, stop = turn, self.peak, self.last, float(end)
        progress = (step - begin) / (stop - begin) if stop > begin else 1.0
        return final + (start - final) / 2.0 * (math.cos(math.pi * progress) + 1)


def learning_rate_factor(decay: str, progress: float) -> float:
    """Factor of the learning rate. decay: see Training.learning_rate_decay. progress: 0 to 1."""
    if decay == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return min(1.0, 2 * (1 - progress)) if decay == "linear" else 1.0


def ema_weight(half_life: int, images: int, images_seen: int) -> float:
    """Weight of the new weights in the exponential moving average (Yazıcı et al. 2019).

    half_life: number of images after which a weight's contribution has halved; 0 keeps the new weights only.
    images: of the last step. images_seen: in total, including it. Early in training the half-life is a
    twentieth of images_seen, so that the initial weights fade soon.
    """
    effective = min(half_life, images_seen / 20)
    return float(1 - 0.5 ** (images / effective)) if effective > 0 else 1.0
