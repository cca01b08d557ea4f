"""Logistic regression on pixels: the weakest classifier, which needs images to be right in the large only."""

from __future__ import annotations

import torch
from torch import nn

from labelmint.random_streams import Stream


class Linear(nn.Module):
    """images: float (N, C, S, S) in [-1, 1] -> logits (N, classes)."""

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, height, width = shape
        self.head = nn.Linear(channels * height * width, classes)

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        return self.head(images.flatten(1))
