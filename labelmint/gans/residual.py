"""Residual networks (He et al. 2016), laid out as in the fairness GAN (Sattigeri et al. 2018)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.gans.layers import Convolution, Dropout, GaussianNoise, batch_deviation
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.parts import (
    Head,
    LabelMaps,
    LatentInput,
    Shape,
    activation,
    apply_spectral_norm,
    normalization,
    run,
)
from labelmint.random_streams import Stream


class UpBlock(nn.Module):
    """(N, inputs, S, S) -> (N, outputs, 2 S, 2 S)."""

    def __init__(self, params: GeneratorNetwork, inputs: int, outputs: int, labels: int):
        super().__init__()

        def layer(inputs: int) -> list[nn.Module]:
            norm = normalization(params, outputs, labels)
            return [Convolution(inputs, outputs, 3, bias=not norm), *norm]

        self.identity = nn.Sequential(*layer(inputs))
        self.residual = nn.Sequential(*layer(inputs), activation(params, params.batch_norm), *layer(outputs))
        self.activation = activation(params)

    def forward(self, maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        maps = F.interpolate(maps, scale_factor=2, mode="nearest")
        added = run(self.identity, maps, labels) + run(self.residual, maps, labels)
        activated: torch.Tensor = self.activation(added)
        return activated


class ResidualGenerator(nn.Module):
    """Dense layer -> one block per entry of `filters` -> convolution -> tanh."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, labels: int = 0):
        super().__init__()
        start = params.start_size(shape[1])
        self.start = (start, start, params.dense_filters)
        self.entry = LatentInput(params, latent_size, labels)
        self.dense = nn.Linear(self.entry.size, start * start * params.dense_filters)
        self.activation = activation(params)
        widths = [params.dense_filters, *params.filters]
        self.blocks = nn.ModuleList(UpBlock(params, *pair, labels) for pair in zip(widths, widths[1:]))
        self.last = Convolution(widths[-1], shape[0], 3)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images(self.entry(latents, labels), labels), labels

    def images(self, entered: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """entered: (N, entry.size), the output of `entry`."""
        maps = self.activation(self.dense(entered)).unflatten(1, self.start).permute(0, 3, 1, 2)
        for block in self.blocks:
            maps = block(maps, labels)
        return torch.tanh(self.last(maps))


class DownBlock(nn.Module):
    """(N, inputs, S, S) -> (N, outputs, S / 2, S / 2)."""

    def __init__(self, params: DiscriminatorNetwork, inputs: int, outputs: int):
        super().__init__()
        self.identity = nn.Sequential(Convolution(inputs, outputs, 1), activation(params))
        self.residual = nn.Sequential(
            Convolution(inputs, outputs, 3),
            activation(params),
            Convolution(outputs, outputs, 3),
            activation(params),
        )
        self.activation = activation(params)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        activated: torch.Tensor = self.activation(F.avg_pool2d(self.identity(maps) + self.residual(maps), 2))
        return activated


class ResidualTrunk(nn.Module):
    """Images -> maps, float (N, `channels`, size, size): filters[-1] maps, and one more for minibatch_std."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape, labels: int):
        super().__init__()
        self.entry = LabelMaps(params, shape, labels)
        widths = [max(1, params.filters[0] // 2), *params.filters]
        self.first = nn.Sequential(Convolution(self.entry.channels, widths[0], 3), activation(params))
        self.blocks = nn.ModuleList(DownBlock(params, *pair) for pair in zip(widths, widths[1:]))
        self.input_noise, self.block_noise = (
            GaussianNoise(params.input_noise),
            GaussianNoise(params.block_noise),
        )
        self.block_dropout, self.minibatch_std = Dropout(params.block_dropout), params.minibatch_std
        self.channels, self.size = (
            widths[-1] + params.minibatch_std,
            self.entry.out_size // 2 ** len(params.filters),
        )
        if self.size < 1:
            halvings = f"{len(params.filters)} halvings"
            raise ValueError(f"discriminator.filters: {halvings} leave nothing of {shape[1]} pixels")

    def forward(self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None) -> torch.Tensor:
        maps = self.first(self.entry(self.input_noise(images, stream), labels))
        for block in self.blocks:
            maps = self.block_noise(self.block_dropout(block(maps), stream), stream)
        return torch.cat([maps, batch_deviation(maps)], 1) if self.minibatch_std else maps


class ResidualDiscriminator(nn.Module):
    """Convolution -> one block per entry of `filters` -> flatten -> head."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape, labels: int = 0):
        super().__init__()
        self.trunk = ResidualTrunk(params, shape, labels)
        self.head = Head(params, self.trunk.channels * self.trunk.size**2, labels)
        apply_spectral_norm(self, params, self.trunk.first)

    def forward(
        self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None = None
    ) -> torch.Tensor:
        maps = self.trunk(images, labels, stream)
        outputs: torch.Tensor = self.head(maps.permute(0, 2, 3, 1).flatten(1), labels, stream)
        return outputs
