"""Networks built from settings (Radford et al. 2016, with the options of the reports).

A generator maps latents, float (N, z), and requested labels, float (N, K), to images in [-1, 1], float (N, C,
S, S), and the labels of those images, (N, K). A discriminator maps images and labels to outputs, float (N,
heads), the first of which is the logit of being real. K is 0 without labels. Stochastic layers act only when
given a `stream`.
"""

from __future__ import annotations

from math import prod

import torch
from torch import nn

from labelmint.gans.layers import (
    BatchNorm,
    Convolution,
    Dropout,
    GaussianNoise,
    Linear,
    TransposedConvolution,
    batch_deviation,
)
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.parts import (
    Head,
    LabelMaps,
    LatentInput,
    Shape,
    activated,
    activation,
    apply_spectral_norm,
    embedding,
    normalization,
    run,
)
from labelmint.random_streams import Stream


def _hidden_layers(params: GeneratorNetwork, inputs: int) -> tuple[nn.Sequential, int]:
    """(layers of `units`, size of their output)."""
    sizes = [inputs, *params.units]
    pairs = [(nn.Linear(*pair), activation(params)) for pair in zip(sizes, params.units)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair)), sizes[-1]


class Generator(nn.Module):
    """Dense layer -> transposed convolutions -> tanh."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, labels: int = 0):
        super().__init__()
        start, width = params.start_size(shape[1]), params.dense_filters
        # Batch normalisation would remove the bias of the layer before it.
        bias = params.norm_after_activation or not params.batch_norm
        self.start = (start, start, width)
        self.entry = LatentInput(params, latent_size, labels)
        self.before, size = _hidden_layers(params, self.entry.size)
        self.dense = nn.Linear(size, prod(self.start), bias=params.dense_norm == "none" or bias)
        self.condition = params.condition
        norm: list[nn.Module] = []
        if params.batch_norm and params.dense_norm == "maps":
            norm += normalization(params, width, labels)
        elif params.batch_norm and params.dense_norm == "units":
            # Each unit is normalised as a map of its own.
            norm += [nn.Unflatten(1, (-1, 1, 1)), BatchNorm(prod(self.start)), nn.Flatten()]
        self.by_unit = params.dense_norm == "units" and params.batch_norm
        self.first = nn.Sequential(*(activated(params, norm) if params.dense_activation else norm))
        if self.condition == "channel":
            self.embed, size = embedding(labels, params.embedding)
            self.label_dense = nn.Linear(size, start * start)
            width += 1
        elif self.condition == "branch":
            self.label_dense = nn.Linear(labels, start * start * params.embedding, bias=bias)
            norm = [BatchNorm(params.embedding)] if params.batch_norm else []
            self.label_first = nn.Sequential(*activated(params, norm))
            width += params.embedding
        layers: list[nn.Module] = []
        sizes = zip([width, *params.filters], params.filters, params.kernels, params.strides)
        for inputs, outputs, kernel, stride in sizes:
            norm = normalization(params, outputs, labels)
            layers += [TransposedConvolution(inputs, outputs, kernel, stride, bias), *activated(params, norm)]
        last, kernel, stride = [width, *params.filters][-1], params.kernels[-1], params.strides[-1]
        layers += [TransposedConvolution(last, shape[0], kernel, stride, params.final_bias), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = self.dense(self.before(self.entry(latents, labels)))
        if self.by_unit:
            values = self.first(values)
        # The dense layer's output is read as height x width x maps, which is channels_last without a copy.
        maps = values.unflatten(1, self.start).permute(0, 3, 1, 2)
        if not self.by_unit:
            maps = run(self.first, maps, labels)
        if self.condition == "channel":
            extra = (
                self.label_dense(self.embed(labels)).unflatten(1, (*self.start[:2], 1)).permute(0, 3, 1, 2)
            )
            maps = torch.cat([maps, extra], 1)
        elif self.condition == "branch":
            extra = self.label_dense(labels).unflatten(1, (*self.start[:2], -1)).permute(0, 3, 1, 2)
            maps = torch.cat([maps, self.label_first(extra)], 1)
        return run(self.layers, maps, labels), labels


class MLPGenerator(nn.Module):
    """Hidden layers of `units`, then one tanh unit per pixel."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, labels: int = 0):
        super().__init__()
        self.entry = LatentInput(params, latent_size, labels)
        hidden, size = _hidden_layers(params, self.entry.size)
        self.layers = nn.Sequential(*hidden, nn.Linear(size, prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layers(self.entry(latents, labels)), labels


class Discriminator(nn.Module):
    """Convolutions -> flatten -> head."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape, labels: int = 0):
        super().__init__()
        self.entry = LabelMaps(params, shape, labels)
        self.blocks = nn.ModuleList()
        channels, size = self.entry.channels, self.entry.out_size
        for position, (filters, kernel, stride) in enumerate(
            zip(params.filters, params.kernels, params.strides)
        ):
            has_norm = params.batch_norm and (position > 0 or params.first_batch_norm)
            norm: list[nn.Module] = [BatchNorm(filters)] if has_norm else []
            bias = params.norm_after_activation or not has_norm
            convolution = Convolution(channels, filters, kernel, stride, bias=bias)
            self.blocks.append(nn.Sequential(convolution, *activated(params, norm)))
            channels, size = filters, -(-size // stride)
        self.input_noise, self.block_noise = (
            GaussianNoise(params.input_noise),
            GaussianNoise(params.block_noise),
        )
        self.block_dropout = Dropout(params.block_dropout)
        self.minibatch_std = params.minibatch_std
        self.head = Head(params, (channels + params.minibatch_std) * size * size, labels)
        apply_spectral_norm(self, params, self.blocks[0])

    def forward(
        self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None = None
    ) -> torch.Tensor:
        maps = self.entry(self.input_noise(images, stream), labels)
        for block in self.blocks:
            maps = self.block_noise(self.block_dropout(block(maps), stream), stream)
        if self.minibatch_std:
            maps = torch.cat([maps, batch_deviation(maps)], 1)
        # Height x width x maps, the order in memory: another order would cost a copy and a slow gradient.
        outputs: torch.Tensor = self.head(maps.permute(0, 2, 3, 1).flatten(1), labels, stream)
        return outputs


class MLPDiscriminator(nn.Module):
    """Hidden layers of `units` on the flattened image, and on the labels for condition: concat."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape, labels: int = 0):
        super().__init__()
        self.concat, size = params.condition == "concat", prod(shape)
        if self.concat:
            self.embed, added = embedding(labels, params.embedding)
            size += added
        self.blocks = nn.ModuleList(
            nn.Sequential(Linear(inputs, outputs), activation(params))
            for inputs, outputs in zip([size, *params.units], params.units)
        )
        self.input_noise, self.block_noise = (
            GaussianNoise(params.input_noise),
            GaussianNoise(params.block_noise),
        )
        self.block_dropout, self.minibatch_std = Dropout(params.block_dropout), params.minibatch_std
        self.head = Head(params, params.units[-1] + params.minibatch_std, labels)
        apply_spectral_norm(self, params, self.blocks[0])

    def forward(
        self, images: torch.Tensor, labels: torch.Tensor, stream: Stream | None = None
    ) -> torch.Tensor:
        values = self.input_noise(images, stream).flatten(1)
        if self.concat:
            values = torch.cat([values, self.embed(labels)], 1)
        for block in self.blocks:
            values = self.block_noise(self.block_dropout(block(values), stream), stream)
        if self.minibatch_std:
            values = torch.cat([values, batch_deviation(values)], 1)
        outputs: torch.Tensor = self.head(values, labels, stream)
        return outputs
