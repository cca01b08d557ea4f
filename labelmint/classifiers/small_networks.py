"""Small classifiers: a CNN, whose features the metrics use, and logistic regression."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.random_streams import Stream


class SmallCNN(nn.Module):
    """Images, float (N, C, S, S) in [-1, 1] with S of at least 4 -> logits (N, classes)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, features: int = 128, width: int = 32):
        super().__init__()
        channels, size, _ = shape
        first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        second = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.convolutions = nn.ModuleList([first, second])
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(2 * width)])
        self.to_features = nn.Linear(2 * width * (size // 4) ** 2, features)
        self.head = nn.Linear(features, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The layer before the logits, float (N, features), not negative."""
        maps = images
        for convolution, norm in zip(self.convolutions, self.norms):
            maps = max_pool(F.relu(norm(convolution(maps))))
        return F.relu(self.to_features(maps.flatten(1)))

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.features(images))
        return logits


def max_pool(maps: torch.Tensor) -> torch.Tensor:
    """2 x 2 max-pooling: float (N, C, H, W) -> (N, C, H // 2, W // 2).

    On a CPU, F.max_pool2d is vectorised only where channels come last. Without gradients the maxima of slices
    are the same values, nine times as fast: it took half of the time of SmallCNN.features.
    """
    if maps.requires_grad or maps.device.type != "cpu" or not maps.is_contiguous():
        return F.max_pool2d(maps, 2)
    height, width = (size // 2 * 2 for size in maps.shape[2:])
    rows = torch.maximum(maps[:, :, 0:height:2], maps[:, :, 1:height:2])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


class Linear(nn.Module):
    """Logistic regression on pixels, float (N, C, S, S) in [-1, 1] -> logits (N, classes)."""

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, height, width = shape
        self.head = nn.Linear(channels * height * width, classes)

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        logits: torch.Tensor = self.head(images.flatten(1))
        return logits
