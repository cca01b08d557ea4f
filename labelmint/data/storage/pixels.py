"""Between pixels on disk and numbers in a network. The only place that knows the scale."""

from __future__ import annotations

import torch


def normalize(images: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 -> float [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """float [-1, 1] -> uint8 0..255, rounded."""
    return ((images + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
