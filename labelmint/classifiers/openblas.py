"""Matrix products by numpy's OpenBLAS, where `compute.portable` limits torch's MKL to its slowest code.

OpenBLAS has one code for all x86-64 CPUs with AVX2, chosen by OPENBLAS_CORETYPE; that of MKL differs between
makes of CPU. In EfficientNet, whose pointwise convolutions are matrix products, this saves most of what the
limits cost (benchmarks/portable.py).
"""

from __future__ import annotations

from typing import Any

import torch

from labelmint.runtime import portable


def suits(values: torch.Tensor) -> bool:
    """Whether products of these values are taken here: float32 on a CPU, within the limits."""
    return values.device.type == "cpu" and values.dtype == torch.float32 and portable.in_force()


def linear(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Values (..., k) times the transposed weight (m, k): (..., m), as torch.nn.functional.linear."""
    product: torch.Tensor = _Linear.apply(values.reshape(-1, values.shape[-1]), weight)
    return product.view(*values.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """Values (n, k), weight (m, k) -> (n, m)."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(values, weight)
        return _product(values, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        values, weight = ctx.saved_tensors
        of_values, of_weight = ctx.needs_input_grad
        return (
            _product(gradient, weight) if of_values else None,
            _product(gradient.mT, values) if of_weight else None,
        )


def _product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(first.detach().numpy() @ second.detach().numpy())
