"""The scale of pixels: 0..255 on disk, -1..1 in a network. No other module knows it."""

from __future__ import annotations

import torch


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 0..255 to float [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Convert float [-1, 1] to uint8 0..255, rounded and clamped."""
    return ((images + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
