"""What D pays besides its objective: for steep gradients, and for straying far from what it used to say.

Tensors may have leading dimensions, one place per replica.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from labelmint.gans.objectives import Judged

ANCHOR_DECAY = 0.99
"""Of LeCam's moving averages, per step."""


def input_gradient(judged: Judged) -> torch.Tensor:
    """([R,] N): squared norm of D's gradient at each image. judged.images must require a gradient."""
    (gradient,) = torch.autograd.grad(judged.source.sum(), judged.images, create_graph=True)
    return gradient.square().sum((-3, -2, -1))


def zero_centred(judged: Judged, gamma: float) -> torch.Tensor:
    """gamma / 2 times the mean squared norm (Mescheder et al. 2018: R1 on real images, R2 on minted ones)."""
    return gamma / 2 * input_gradient(judged).mean(-1)


def one_centred(judged: Judged, weight: float) -> torch.Tensor:
    """weight times the mean of (norm - 1)^2 (Gulrajani et al. 2017)."""
    # The root's slope is infinite at 0, where a dead D would lie.
    return weight * ((input_gradient(judged) + 1e-12).sqrt() - 1).square().mean(-1)


def lecam_real(judged: Judged, anchors: torch.Tensor, weight: float) -> torch.Tensor:
    """anchors: ([R,] 2), what D used to say of real and of minted images (Tseng et al. 2021, equation 3)."""
    return weight * F.relu(judged.source - anchors[..., 1:]).square().mean(-1)


def lecam_fake(judged: Judged, anchors: torch.Tensor, weight: float) -> torch.Tensor:
    return weight * F.relu(anchors[..., :1] - judged.source).square().mean(-1)
