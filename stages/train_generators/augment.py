"""Augmentation: of real and fake images alike, differentiable (Zhao et al. 2020, "DiffAugment"); and mirror images of real ones."""

from __future__ import annotations

import torch


def translate(images: torch.Tensor, share: float, rng: torch.Generator) -> torch.Tensor:
    """Shift each image by whole pixels, up to `share` of its size each way, filling with -1 (black).

    images: float (N, C, H, W) in [-1, 1]. The shift is a product with 0/1 matrices: exact, differentiable and
    cheaper on a CPU than gathering, whose gradient scatters.
    """
    height, width = images.shape[-2:]
    rows = _shift(len(images), height, int(share * height), rng, images)
    columns = _shift(len(images), width, int(share * width), rng, images)
    return rows.unsqueeze(1) @ (images + 1) @ columns.unsqueeze(1).mT - 1


def _shift(count: int, size: int, most: int, rng: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """(count, size, size) matrices, each of which moves a vector by -most..most places."""
    offsets = torch.randint(-most, most + 1, (count, 1, 1), generator=rng, device=rng.device)
    places = torch.arange(size, device=rng.device)
    return (places[:, None] - places == offsets).to(like)


def mirror(images: torch.Tensor, allowed: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Flip a random half of the `allowed` images left to right. images: (N, C, H, W); allowed: bool (N,)."""
    flipped = allowed & (torch.rand(len(images), generator=rng, device=images.device) < 0.5)
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
