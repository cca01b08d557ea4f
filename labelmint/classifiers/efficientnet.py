"""EfficientNet-B0 (Tan and Le 2019) from efficientnet-pytorch, with a small head and fast on small images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.classifiers.settings import Classifier
from labelmint.data.download import locate
from labelmint.data.storage.weights import state_dict
from labelmint.gans.layers import Dropout
from labelmint.random_streams import Stream
from labelmint.runtime.errors import InputError

_FEATURES = 1280
_IMAGENET = "efficientnet-b0-355c32eb.pth"  # the name ends with the start of its SHA-256
_IMAGENET_ADDRESS = f"https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/{_IMAGENET}"
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The original averages batch norm statistics over some hundred batches, too many for a training of hundreds
# of steps.
_BATCH_NORM_MOMENTUM = 0.1


class EfficientNetB0(nn.Module):
    """Images, float (N, C, S, S) in [-1, 1] -> logits (N, classes). Dropout acts only with a `stream`."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, params: Classifier, shape: tuple[int, int, int], classes: int, raw: Path | None):
        from efficientnet_pytorch import EfficientNet

        super().__init__()
        self.pretrained = params.weights != "none"
        channels = 3 if self.pretrained else shape[0]
        # Drop connect would draw from the global generator, and suits far longer training.
        self.trunk = EfficientNet.from_name(
            "efficientnet-b0", in_channels=channels, include_top=True, dropout_rate=0.0, drop_connect_rate=0.0
        )
        if self.pretrained and raw is not None:
            try:
                self.trunk.load_state_dict(_weights(params.weights, raw))
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:160]
                message = f"classifier.weights: {params.weights} does not fit EfficientNet-B0 ({reason})"
                raise InputError(message) from error
        for name, values in (("mean", _IMAGENET_MEAN), ("deviation", _IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.trunk._fc = nn.Identity()
        _speed_up(self.trunk)
        self.trunk._conv_stem.stride = (params.stem_stride, params.stem_stride)
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _BATCH_NORM_MOMENTUM
        self.dropout = Dropout(params.head_dropout)
        self.dense = nn.Linear(_FEATURES, params.head_units) if params.head_units else nn.Identity()
        self.head = nn.Linear(params.head_units or _FEATURES, classes)

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        if self.pretrained:
            # A grey image is broadcast to three channels.
            images = ((images + 1) / 2 - self.mean) / self.deviation
        values = self.dense(self.dropout(self.trunk(images), stream))
        logits: torch.Tensor = self.head(F.relu(values) if isinstance(self.dense, nn.Linear) else values)
        return logits


class _SameConvolution(nn.Conv2d):
    """A "same" convolution with the results of the original that skips taps which only meet padding.

    On maps smaller than the kernel these are most taps. Depthwise layers spend most of EfficientNet's time on
    them for images below 64 pixels (measured by benchmarks/classifier.py).
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        stride, weight = self.stride[0], self.weight
        if (
            self.kernel_size == (1, 1) and stride == 1
        ):  # a matrix product, without a copy where maps are channels_last
            return F.linear(maps.permute(0, 2, 3, 1), weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        (top, bottom, rows), (left, right, columns) = (
            _useful(self.kernel_size[0], stride, size) for size in maps.shape[-2:]
        )
        weight = weight[:, :, rows, columns]
        if weight.shape[-2:] == (1, 1) and maps.shape[-2:] == (1, 1) and self.groups > 1:
            return maps * weight.view(1, -1, 1, 1)
        if top == bottom and left == right:
            return F.conv2d(maps, weight, self.bias, stride, (top, left), 1, self.groups)
        return F.conv2d(F.pad(maps, [left, right, top, bottom]), weight, self.bias, stride, 0, 1, self.groups)


def _useful(kernel: int, stride: int, size: int) -> tuple[int, int, slice]:
    """(padding before, padding after, taps that meet a pixel) of a "same" convolution over `size` pixels."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    before = total // 2
    first, last = max(0, before - (outputs - 1) * stride), min(kernel, before + size)
    return before - first, max(0, (outputs - 1) * stride + last - before - size), slice(first, last)


def _speed_up(module: nn.Module) -> None:
    """Replace the library's convolutions and SiLU by faster ones, with the same weights."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            kernel, stride = (cast(tuple[int, int], value) for value in (child.kernel_size, child.stride))
            ours = _SameConvolution(
                child.in_channels,
                child.out_channels,
                kernel,
                stride,
                groups=child.groups,
                bias=child.bias is not None,
            )
            ours.load_state_dict(child.state_dict())
            setattr(module, name, ours)
        elif type(child).__name__ in ("MemoryEfficientSwish", "Swish"):
            setattr(module, name, nn.SiLU())
        else:
            _speed_up(child)


def _weights(source: str, raw: Path) -> dict[str, torch.Tensor]:
    """Weights by name. Raises: InputError if the file is absent, altered, or no plain state dict."""
    path = locate([_IMAGENET], raw, [_IMAGENET_ADDRESS]) if source == "imagenet" else Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        choices = "give none, imagenet or the path of a state dict"
        raise InputError(
            f"classifier.weights: {path} cannot be read ({error.strerror}); {choices}"
        ) from error
    expected = _IMAGENET.removesuffix(".pth").split("-")[-1]
    if source == "imagenet" and not hashlib.sha256(content).hexdigest().startswith(expected):
        raise InputError(f"{path}: its SHA-256 does not start with {expected}; delete the file and run again")
    return state_dict(content, f"classifier.weights: {path}")
