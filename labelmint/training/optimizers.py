"""Optimizers on lists of tensors.

torch.optim's own run the same kernels, but their first use imports torch's compiler, which takes 3 seconds a process.
"""

from __future__ import annotations

from typing import Any

import torch

from labelmint.gans import settings as P

_EPSILON = 1e-8


class Adam:
    """torch's fused kernel (Kingma and Ba 2015)."""

    def __init__(self, weights: list[torch.Tensor], params: P.Optimizer):
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
            weight_decay=0.0, eps=_EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        for name, tensors in self.state().items():
            for own, saved in zip(tensors, state[name], strict=True):
                own.copy_(saved)

    def keep(self, weights: list[torch.Tensor], kept: torch.Tensor) -> None:
        """Go on with `weights`, which are places `kept` of the stacks so far."""
        self.weights = weights
        self.first, self.second = ([tensor[kept] for tensor in tensors] for tensors in (self.first, self.second))


class RMSProp(Adam):
    """Gradients over the root of their mean square (Tieleman and Hinton 2012), which `second` holds; `first` stays 0."""

    @torch.no_grad()
    def step(self, gradients: list[torch.Tensor], share: float | torch.Tensor) -> None:
        for weight, gradient, mean_square in zip(self.weights, gradients, self.second, strict=True):
            mean_square.lerp_(gradient.square(), 1 - self.params.beta2)
            weight.sub_(gradient / (mean_square.sqrt() + _EPSILON) * (self.params.learning_rate * share))


def build(weights: list[torch.Tensor], params: P.Optimizer) -> Adam:
    return RMSProp(weights, params) if params.kind == "rmsprop" else Adam(weights, params)
