"""Weights of networks that were trained on ImageNet, and the colours that they expect."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from labelmint.classifiers.settings import TORCHVISION
from labelmint.data.download import locate
from labelmint.data.storage.weights import state_dict
from labelmint.runtime.errors import InputError

_EFFICIENTNET = (
    "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/efficientnet-b0-355c32eb.pth"
)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageNetColours(nn.Module):
    """Images, float (N, 1 or 3, S, S) in [-1, 1] -> as ImageNet's are normalised, (N, 3, S, S)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # A grey image is broadcast to three channels.
        return ((images + 1) / 2 - self.mean) / self.deviation


def address(network: str) -> str:
    """URL of a network's ImageNet weights; the name of the file ends with the start of its SHA-256."""
    if not network.startswith(TORCHVISION):
        return _EFFICIENTNET
    from torchvision import models

    published: Any = models.get_model_weights(network.removeprefix(TORCHVISION))
    return str(published.DEFAULT.url)


def weights(network: str, source: str, raw: Path) -> dict[str, torch.Tensor]:
    """Weights by name. source: "imagenet" or the path of a state dict. raw: folder of downloaded files.

    Raises: InputError if the file is absent, altered, or no plain state dict.
    """
    url = address(network)
    file = url.rpartition("/")[2]
    path = locate([file], raw, [url]) if source == "imagenet" else Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        choices = "give none, imagenet or the path of a state dict"
        raise InputError(
            f"classifier.weights: {path} cannot be read ({error.strerror}); {choices}"
        ) from error
    expected = file.removesuffix(".pth").split("-")[-1]
    if source == "imagenet" and not hashlib.sha256(content).hexdigest().startswith(expected):
        raise InputError(f"{path}: its SHA-256 does not start with {expected}; delete the file and run again")
    return state_dict(content, f"classifier.weights: {path}")
