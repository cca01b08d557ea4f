"""Random changes to a batch of images, float (N, C, H, W) in [-1, 1], for generators and classifiers alike."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from labelmint.random_streams import Stream


def uniform_per_image(images: torch.Tensor, stream: Stream) -> torch.Tensor:
    """(N, 1, 1, 1) in [-1, 1)."""
    return 2 * stream.uniform(len(images), 1, 1, 1) - 1


def cutout(images: torch.Tensor, share: float, stream: Stream) -> torch.Tensor:
    """Blank (0, the middle grey, as published) a square of `share` of the side, whose centre lies anywhere in the image."""
    kept = torch.ones(1, 1, 1, 1, dtype=images.dtype, device=images.device)
    for size, shape in zip(images.shape[-2:], ((-1, 1), (1, -1))):
        half = share * size / 2
        centre = size * stream.uniform(len(images), 1, 1, 1)
        places = torch.arange(size, device=images.device).view(1, 1, *shape) + 0.5
        kept = kept * ((places - centre).abs() < half).to(images.dtype)
    return images * (1 - kept)


def rotate(images: torch.Tensor, degrees: float, stream: Stream) -> torch.Tensor:
    """Turn each image by up to `degrees` either way about its middle, filling with -1 (black)."""
    angle = math.radians(degrees) * uniform_per_image(images, stream).flatten()
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], -2)
    height, width = images.shape[-2:]
    across, down = ((2 * torch.arange(size, device=images.device) + 1) / size - 1 for size in (width, height))
    places = torch.stack([across.expand(height, width), down[:, None].expand(height, width)], -1)
    grid = (places.reshape(1, -1, 2) @ turn).unflatten(1, (height, width))
    return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


def translate(images: torch.Tensor, share: float, stream: Stream) -> torch.Tensor:
    """Shift each image by whole pixels, up to `share` of its size each way, filling with -1 (black).

    images: float (N, C, H, W) in [-1, 1]. The shift is a product with 0/1 matrices: exact, differentiable and
    cheaper on a CPU than gathering, whose gradient scatters.
    """
    height, width = images.shape[-2:]
    rows = _shift(len(images), height, int(share * height), stream, images)
    columns = _shift(len(images), width, int(share * width), stream, images)
    return rows.unsqueeze(1) @ (images + 1) @ columns.unsqueeze(1).mT - 1


def _shift(count: int, size: int, most: int, stream: Stream, like: torch.Tensor) -> torch.Tensor:
    """(count, size, size) matrices, each of which moves a vector by -most..most places."""
    offsets = stream.integers(-most, most, count, 1, 1)
    places = torch.arange(size, device=like.device)
    return (places[:, None] - places == offsets).to(like)


def mirror(images: torch.Tensor, allowed: torch.Tensor | bool, stream: Stream) -> torch.Tensor:
    """Flip a random half of the `allowed` images left to right. images: (N, C, H, W); allowed: bool (N,), or one for all."""
    flipped = (stream.uniform(len(images)) < 0.5) & allowed
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
