"""Penalties added to D's objective: on steep gradients, and on logits far from their moving averages."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from labelmint.gans.objectives import DiscriminatorOutput

_ANCHOR_DECAY = 0.99
"""Decay per step of LeCam's moving averages, that of its code for StyleGAN2."""


def input_gradient(output: DiscriminatorOutput) -> torch.Tensor:
    """Squared norm of the gradient of D, with its augmentation, at each image, (N,).

    output.images must require a gradient.
    """
    (gradient,) = torch.autograd.grad(output.logits.sum(), output.images, create_graph=True)
    return gradient.square().sum((-3, -2, -1))


def zero_centred(output: DiscriminatorOutput, gamma: float) -> torch.Tensor:
    """Mean squared norm times gamma / 2 (Mescheder et al. 2018): R1 on real, R2 on generated images."""
    return gamma / 2 * input_gradient(output).mean(-1)


def one_centred(output: DiscriminatorOutput, weight: float) -> torch.Tensor:
    """Weight times the mean of (norm - 1)^2 (Gulrajani et al. 2017)."""
    # The square root's slope is infinite at 0, the gradient of a D that is constant.
    return weight * ((input_gradient(output) + 1e-12).sqrt() - 1).square().mean(-1)


def lecam_real(real: DiscriminatorOutput, anchors: torch.Tensor, weight: float, start: int) -> torch.Tensor:
    """LeCam regularisation on real images (Tseng et al. 2021, equation 3).

    anchors: float (3,), the moving averages of D's logits for real and for generated images, and the number
    of steps of D that they hold. start: steps of D before the regularisation counts.
    """
    return _lecam(real.logits - anchors[1], anchors, weight, start)


def lecam_fake(fake: DiscriminatorOutput, anchors: torch.Tensor, weight: float, start: int) -> torch.Tensor:
    """LeCam regularisation on generated images."""
    return _lecam(anchors[0] - fake.logits, anchors, weight, start)


def _lecam(excess: torch.Tensor, anchors: torch.Tensor, weight: float, start: int) -> torch.Tensor:
    return weight * (anchors[2] > start) * F.relu(excess).square().mean(-1)


@torch.no_grad()
def update_anchors(
    anchors: torch.Tensor, real: DiscriminatorOutput, fake: DiscriminatorOutput, start: int
) -> None:
    """Add a step of D to LeCam's moving averages, in place.

    They are corrected for their start at 0, as Adam's are, and have no memory until `start`.
    """
    means, steps = torch.stack([real.logits.mean(-1), fake.logits.mean(-1)]), anchors[2] + 1
    of_new = torch.where(steps > start, (1 - _ANCHOR_DECAY) / (1 - _ANCHOR_DECAY**steps), 1.0)
    anchors.copy_(torch.stack([*anchors[:2].lerp(means, of_new), steps]))
