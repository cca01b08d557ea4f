"""Penalties added to D's objective: on steep gradients, and on logits far from their moving averages."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from labelmint.gans.objectives import DiscriminatorOutput

ANCHOR_DECAY = 0.99
"""Decay per step of LeCam's moving averages."""


def input_gradient(output: DiscriminatorOutput) -> torch.Tensor:
    """Squared norm of D's gradient at each image, (N,). output.images must require a gradient."""
    (gradient,) = torch.autograd.grad(output.logits.sum(), output.images, create_graph=True)
    return gradient.square().sum((-3, -2, -1))


def zero_centred(output: DiscriminatorOutput, gamma: float) -> torch.Tensor:
    """Mean squared norm times gamma / 2 (Mescheder et al. 2018): R1 on real, R2 on generated images."""
    return gamma / 2 * input_gradient(output).mean(-1)


def one_centred(output: DiscriminatorOutput, weight: float) -> torch.Tensor:
    """Weight times the mean of (norm - 1)^2 (Gulrajani et al. 2017)."""
    # The square root's slope is infinite at 0, the gradient of a D that is constant.
    return weight * ((input_gradient(output) + 1e-12).sqrt() - 1).square().mean(-1)


def lecam_real(real: DiscriminatorOutput, anchors: torch.Tensor, weight: float) -> torch.Tensor:
    """LeCam regularisation on real images (Tseng et al. 2021, equation 3).

    anchors: (2,), the moving averages of D's logits for real and for generated images.
    """
    return weight * F.relu(real.logits - anchors[..., 1:]).square().mean(-1)


def lecam_fake(fake: DiscriminatorOutput, anchors: torch.Tensor, weight: float) -> torch.Tensor:
    """LeCam regularisation on generated images."""
    return weight * F.relu(anchors[..., :1] - fake.logits).square().mean(-1)
