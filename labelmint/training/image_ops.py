"""Random operations on a batch of images, float (N, C, H, W) in [-1, 1], for generators and classifiers."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from labelmint.random_streams import Stream


def uniform_per_image(images: torch.Tensor, stream: Stream) -> torch.Tensor:
    """One random number in [-1, 1) per image, (N, 1, 1, 1)."""
    return 2 * stream.uniform(len(images), 1, 1, 1) - 1


def cutout(images: torch.Tensor, fraction: float, stream: Stream) -> torch.Tensor:
    """Blank a square whose side is `fraction` of the image's and whose centre is anywhere in the image.

    Its side is rounded, and it is filled with 0, the middle grey, as published (Zhao et al. 2020).
    """
    inside = torch.ones(1, 1, 1, 1, dtype=images.dtype, device=images.device)
    for size, shape in zip(images.shape[-2:], ((-1, 1), (1, -1))):
        side = _rounded(fraction * size)
        first = stream.integers(0, size - side % 2, len(images), 1, 1, 1) - side // 2
        indices = torch.arange(size, device=images.device).view(1, 1, *shape)
        inside = inside * ((first <= indices) & (indices < first + side)).to(images.dtype)
    return images * (1 - inside)


def rotate(images: torch.Tensor, degrees: float, stream: Stream) -> torch.Tensor:
    """Rotate each image about its centre by up to `degrees` either way. Fills with -1 (black)."""
    angle = math.radians(degrees) * uniform_per_image(images, stream).flatten()
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    height, width = images.shape[-2:]
    x, y = ((2 * torch.arange(size, device=images.device) + 1) / size - 1 for size in (width, height))
    coordinates = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
    grid = (coordinates.reshape(1, -1, 2) @ rotation).reshape(-1, height, width, 2)
    return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


def translate(images: torch.Tensor, fraction: float, stream: Stream, fill: float = -1.0) -> torch.Tensor:
    """Shift each image by whole pixels, up to `fraction` of its size, rounded, either way.

    fill: value of the uncovered pixels. The published code rounds alike (Zhao et al. 2020) and fills with 0.
    The shift is a product with 0/1 matrices: exact, differentiable, and cheaper on a CPU than gathering,
    whose gradient scatters.
    """
    height, width = images.shape[-2:]
    rows = _shift(len(images), height, _rounded(fraction * height), stream, images)
    columns = _shift(len(images), width, _rounded(fraction * width), stream, images)
    return rows.unsqueeze(1) @ (images - fill) @ columns.unsqueeze(1).mT + fill


def _rounded(pixels: float) -> int:
    """The nearest integer; halves are rounded up."""
    return int(pixels + 0.5)


def _shift(count: int, size: int, largest: int, stream: Stream, like: torch.Tensor) -> torch.Tensor:
    """Matrices (count, size, size), each of which shifts a vector by -largest to largest elements."""
    offsets = stream.integers(-largest, largest, count, 1, 1)
    indices = torch.arange(size, device=like.device)
    return (indices[:, None] - indices == offsets).to(like)


def mirror(images: torch.Tensor, allowed: torch.Tensor | bool, stream: Stream) -> torch.Tensor:
    """Flip a random half of the `allowed` images left to right. allowed: bool (N,), or one for all."""
    flipped = (stream.uniform(len(images)) < 0.5) & allowed
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
