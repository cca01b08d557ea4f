"""Augmentation: of real and fake images alike, differentiable (Zhao et al. 2020, "DiffAugment"); and mirror images of real ones."""

from __future__ import annotations

import torch

from stages.train_generators.randomness import Stream


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
