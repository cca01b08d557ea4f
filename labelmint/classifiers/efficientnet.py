"""EfficientNet-B0 (Tan and Le 2019) from efficientnet-pytorch, with a small head and fast on small images."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.classifiers import openblas, pretrained
from labelmint.classifiers.settings import Classifier
from labelmint.gans.layers import Dropout
from labelmint.random_streams import Stream
from labelmint.runtime.errors import InputError

_FEATURES = 1280
# The original averages batch norm statistics over some hundred batches, too many for a training of hundreds
# of steps.
_BATCH_NORM_MOMENTUM = 0.1


class EfficientNetB0(nn.Module):
    """Images, float (N, C, S, S) in [-1, 1] -> logits (N, classes). Dropout acts only with a `stream`."""

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
                self.trunk.load_state_dict(pretrained.weights(params.network, params.weights, raw))
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:160]
                message = f"classifier.weights: {params.weights} does not fit EfficientNet-B0 ({reason})"
                raise InputError(message) from error
        self.normalize = pretrained.ImageNetColours()
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
            images = self.normalize(images)
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
        if self.kernel_size == (1, 1) and stride == 1:
            return self._product(maps.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)
        (top, bottom, rows), (left, right, columns) = (
            _useful(self.kernel_size[0], stride, size) for size in maps.shape[-2:]
        )
        weight = weight[:, :, rows, columns]
        if weight.shape[-2:] == (1, 1) and maps.shape[-2:] == (1, 1) and self.groups > 1:
            return maps * weight.view(1, -1, 1, 1)
        if top == bottom and left == right and not self._exceeds(maps, weight):
            return F.conv2d(maps, weight, self.bias, stride, (top, left), 1, self.groups)
        return F.conv2d(F.pad(maps, [left, right, top, bottom]), weight, self.bias, stride, 0, 1, self.groups)

    def _exceeds(self, maps: torch.Tensor, weight: torch.Tensor) -> bool:
        """Whether the kernel is larger than the maps, on a CPU.

        oneDNN then has no fast code for the gradients of a depthwise layer, as it has for padded maps: 0.8 ms
        instead of 11 ms for 240 maps of 2 x 2 pixels and a kernel of 3.
        """
        return maps.device.type == "cpu" and (
            weight.shape[-2] > maps.shape[-2] or weight.shape[-1] > maps.shape[-1]
        )

    def _product(self, pixels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """A pointwise convolution, float (N, H, W, C) -> (N, H, W, M); no copy if maps are channels_last."""
        if not openblas.suits(pixels):
            return F.linear(pixels, weight, self.bias)
        product = openblas.linear(pixels, weight)
        return product if self.bias is None else product + self.bias


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
