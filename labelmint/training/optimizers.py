"""Optimizers on lists of tensors, and the schedules of the learning rate and of the weight average.

torch.optim's own run the same kernels, but their first use imports torch's compiler: 3 seconds per process.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from labelmint.gans import settings as P

_EPSILON = 1e-8


class Adam:
    """Adam by torch's fused kernel (Kingma and Ba 2015)."""

    def __init__(self, weights: list[torch.Tensor], params: P.Optimizer):
        self.weights, self.params = weights, params
        weights = [weight.detach() for weight in weights]
        self.first = [torch.zeros_like(weight) for weight in weights]
        self.second = [torch.zeros_like(weight) for weight in weights]
        self.steps = [torch.zeros((), device=weight.device) for weight in weights]

    def step(self, gradients: list[torch.Tensor], learning_rate_factor: float | torch.Tensor) -> None:
        """Update the weights. learning_rate_factor: multiplies the learning rate."""
        # The kernel walks through memory, so a gradient needs its weight's layout; autograd.grad does not
        # promise it.
        gradients = [
            gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)
            for weight, gradient in zip(self.weights, gradients, strict=True)
        ]
        torch._foreach_add_(self.steps, 1)
        torch._fused_adam_(
            self.weights,
            gradients,
            self.first,
            self.second,
            [],
            self.steps,
            lr=self.params.learning_rate * learning_rate_factor,
            beta1=self.params.beta1,
            beta2=self.params.beta2,
            weight_decay=0.0,
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

    def keep(self, weights: list[torch.Tensor], kept: torch.Tensor) -> None:
        """Continue with `weights`, which have the indices `kept` in the previous stacks."""
        self.weights = weights
        self.first, self.second = (
            [tensor[kept] for tensor in tensors] for tensors in (self.first, self.second)
        )


class RMSProp(Adam):
    """RMSProp (Tieleman and Hinton 2012).

    `second` holds the mean square of the gradients; `first` stays 0.
    """

    @torch.no_grad()
    def step(self, gradients: list[torch.Tensor], learning_rate_factor: float | torch.Tensor) -> None:
        rate = self.params.learning_rate * learning_rate_factor
        for weight, gradient, mean_square in zip(self.weights, gradients, self.second, strict=True):
            mean_square.lerp_(gradient.square(), 1 - self.params.beta2)
            weight.sub_(gradient / (mean_square.sqrt() + _EPSILON) * rate)


def build(weights: list[torch.Tensor], params: P.Optimizer) -> Adam:
    return RMSProp(weights, params) if params.kind == "rmsprop" else Adam(weights, params)


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
