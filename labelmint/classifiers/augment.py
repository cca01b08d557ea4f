"""Random changes to a batch of training images."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from labelmint.classifiers.settings import Augmentation
from labelmint.random_streams import Stream

_BLUR_DEVIATIONS = 4
"""Radius of the blur's kernel in standard deviations, as in scipy.ndimage."""


def augment(images: torch.Tensor, params: Augmentation, stream: Stream) -> torch.Tensor:
    """Change each image independently. images: float (N, C, S, S) in [-1, 1]; so are the returned ones."""

    def uniform(most: float) -> torch.Tensor:
        return (stream.uniform(len(images)) * 2 - 1) * most

    if params.rotation or params.shift or params.scale or params.shear:
        degrees, scale, shear = uniform(params.rotation), uniform(params.scale), uniform(params.shear)
        right, down = uniform(params.shift), uniform(params.shift)
        images = _affine(images, degrees=degrees, scale=scale, shear=shear, right=right, down=down)
    if params.blur:
        images = _blur(images, uniform(params.blur).abs(), math.ceil(_BLUR_DEVIATIONS * params.blur))
    if params.contrast:
        images = (images + 1) * (1 + uniform(params.contrast)).view(-1, 1, 1, 1) - 1
    if params.noise:
        images = images + stream.normal(*images.shape) * uniform(params.noise).abs().view(-1, 1, 1, 1)
    return images.clamp(-1, 1)


def _affine(
    images: torch.Tensor,
    *,
    degrees: torch.Tensor,
    scale: torch.Tensor,
    shear: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
) -> torch.Tensor:
    """Rotate, scale, shear and shift about the centre, bilinear. Pixels beyond the border repeat it."""
    angle, factor = degrees * (math.pi / 180), 1 / (1 + scale)
    cosine, sine = angle.cos() * factor, angle.sin() * factor
    first = torch.stack([cosine, shear - sine, 2 * right], 1)
    second = torch.stack([sine, cosine, 2 * down], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _blur(images: torch.Tensor, deviations: torch.Tensor, radius: int) -> torch.Tensor:
    """Gaussian blur of each image with its own standard deviation. radius: of the kernel; both in pixels."""
    count, channels, height, width = images.shape
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / deviations.clamp(min=1e-3).view(-1, 1)) ** 2)
    weights = weights / weights.sum(1, keepdim=True)

    def along(size: int) -> torch.Tensor:
        """Matrices that blur a vector, (N, size, size). Weights beyond the border are added to the border."""
        matrix = torch.zeros(count, size, size, device=images.device)
        rows = torch.arange(size, device=images.device)
        for position, offset in enumerate(offsets):
            matrix[:, rows, (rows + offset).clamp(0, size - 1)] += weights[:, position : position + 1]
        return matrix.unsqueeze(1)

    return along(height) @ images @ along(width).mT
