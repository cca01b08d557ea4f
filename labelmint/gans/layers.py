"""Layers that draw from a given stream, and convolutions that are fast at the ends of a network on a CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Self

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.random_streams import Stream

# On a CPU, a convolution from or to so few channels runs about twice as fast as one matrix product as in the
# convolution library. With 3 channels the library wins (measured by benchmarks/layers.py).
_FEW_CHANNELS = 1


def prefers_library(tensor: torch.Tensor) -> bool:
    return tensor.device.type != "cpu"


def _full_precision(device_type: str) -> AbstractContextManager[object]:
    """Within it, autocast has no effect."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


class SpectralNorm(nn.Module):
    """Spectral normalisation of a `weight` (Miyato et al. 2018), off until `apply_spectral_norm`.

    The weight is divided by its largest singular value. `direction`, float (outputs,), is the current
    estimate of the left singular vector. Training calls `power_iteration` after each change of the weight.
    """

    weight: torch.Tensor
    direction: torch.Tensor

    def apply_spectral_norm(self) -> Self:
        self.register_buffer("direction", torch.ones(len(self.weight)) / len(self.weight) ** 0.5)
        return self

    @property
    def has_spectral_norm(self) -> bool:
        return "direction" in self._buffers

    def effective_weight(self) -> torch.Tensor:
        if not self.has_spectral_norm:
            return self.weight
        with _full_precision(self.weight.device.type):  # a norm in bfloat16 is too coarse
            rows = self.weight.flatten(1)
            right = F.normalize(rows.detach().t() @ self.direction, dim=0)
            return self.weight / (self.direction @ (rows @ right))


def power_iteration(weight: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The next `direction`, (outputs,). weight: (outputs, inputs)."""
    right = F.normalize(weight.mT @ direction.unsqueeze(-1), dim=-2)
    return F.normalize(weight @ right, dim=-2).squeeze(-1)


class Linear(SpectralNorm, nn.Linear):
    """A linear layer that supports spectral normalisation."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return F.linear(values, self.effective_weight(), self.bias)


class Embedding(nn.Linear):
    """Labels, float (N, K) one-hot or multi-hot -> (N, size): the sum of the rows of the labels present."""

    def __init__(self, labels: int, size: int):
        super().__init__(labels, size, bias=False)


class Convolution(SpectralNorm, nn.Conv2d):
    """A convolution whose output size is input size / stride, rounded up."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weight, kernel, stride = self.effective_weight(), self.kernel_size[0], self.stride[0]
        height, width = images.shape[-2:]
        pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (width, height)]
        same = pads[0] // 2 if pads[0] == pads[1] and pads[0] % 2 == 0 else 0
        if any(pads) and not same:
            images = F.pad(
                images, [pads[0] // 2, pads[0] - pads[0] // 2, pads[1] // 2, pads[1] - pads[1] // 2]
            )
        if self.in_channels > _FEW_CHANNELS or prefers_library(images):
            return F.conv2d(images, weight, self.bias, stride, same)
        columns = F.unfold(images, kernel, padding=same, stride=stride).transpose(1, 2)
        maps = F.linear(columns, weight.flatten(1), self.bias)
        return torch.unflatten(maps.transpose(1, 2), 2, (-(-height // stride), -(-width // stride)))


class TransposedConvolution(nn.ConvTranspose2d):
    """A transposed convolution whose output size is exactly input size x stride."""

    padding: tuple[int, ...]

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, bias: bool):
        extra = (kernel - stride) % 2
        super().__init__(inputs, outputs, kernel, stride, (kernel - stride + extra) // 2, extra, bias=bias)

    # output_size follows from the stride.
    def forward(self, maps: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        if self.out_channels > _FEW_CHANNELS or prefers_library(maps):
            return super().forward(maps)
        stride, height, width = self.stride[0], *maps.shape[-2:]
        size = height * stride, width * stride
        columns = F.linear(maps.flatten(2).transpose(1, 2), self.weight.flatten(1).t()).transpose(1, 2)
        images = F.fold(columns, size, self.kernel_size, padding=self.padding, stride=stride)
        return images if self.bias is None else images + self.bias.view(1, -1, 1, 1)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that keeps no running statistics during training.

    The published statistics belong to the averaged weights. While `collecting` is set they are gathered, as a
    plain mean over batches.
    """

    collecting = False
    batches_seen = 0

    def start_collecting(self) -> None:
        self.reset_running_stats()
        self.collecting, self.batches_seen = True, 0

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(maps)
        mean, variance, momentum = None, None, 0.0
        if self.collecting:
            self.batches_seen += 1
            mean, variance, momentum = self.running_mean, self.running_var, 1 / self.batches_seen
        return F.batch_norm(maps, mean, variance, self.weight, self.bias, True, momentum, self.eps)


class ConditionalBatchNorm(nn.Module):
    """Batch norm scaled by 1 + labels @ scale and shifted by labels @ shift (de Vries et al. 2017)."""

    def __init__(self, width: int, labels: int):
        super().__init__()
        self.norm = BatchNorm(width, affine=False)
        self.scale, self.shift = Embedding(labels, width), Embedding(labels, width)

    def forward(self, maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scale, shift = (values(labels)[:, :, None, None] for values in (self.scale, self.shift))
        return torch.addcmul(shift, self.norm(maps), 1 + scale)


def batch_deviation(maps: torch.Tensor) -> torch.Tensor:
    """Minibatch standard deviation (Karras et al. 2018), (N, C, H, W) -> (N, 1, H, W) or (N, C) -> (N, 1).

    The standard deviation over the batch, averaged over positions and maps.
    """
    deviation = (maps.var(0, correction=0) + 1e-8).sqrt().mean()
    return deviation.expand(len(maps), 1, *maps.shape[2:])


class Dropout(nn.Module):
    """Dropout that draws from `stream`. Without a stream it returns its input."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, values: torch.Tensor, stream: Stream | None) -> torch.Tensor:
        if stream is None or self.probability == 0:
            return values
        keep = 1 - self.probability
        return values * (stream.mask(values, keep) / keep)


class GaussianNoise(nn.Module):
    """Adds N(0, deviation^2) drawn from `stream`. Without a stream it returns its input."""

    def __init__(self, deviation: float):
        super().__init__()
        self.deviation = deviation

    def forward(self, values: torch.Tensor, stream: Stream | None) -> torch.Tensor:
        if stream is None or self.deviation == 0:
            return values
        return values + self.deviation * stream.normal(*values.shape)
