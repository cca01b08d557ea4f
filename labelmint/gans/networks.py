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
    ConditionalBatchNorm,
    Convolution,
    Dropout,
    Embedding,
    GaussianNoise,
    Linear,
    TransposedConvolution,
    batch_deviation,
)
from labelmint.gans.settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.random_streams import Stream

Shape = tuple[int, int, int]
"""(C, S, S) of the images."""


def activation(params: GeneratorNetwork | DiscriminatorNetwork, inplace: bool = False) -> nn.Module:
    """inplace: only after batch normalisation, whose gradient does not need its output, which is no view."""
    if params.activation == "leaky_relu":
        return nn.LeakyReLU(params.negative_slope, inplace)
    return nn.ReLU(inplace) if params.activation == "relu" else nn.SELU(inplace)


def normalization(params: GeneratorNetwork, width: int, labels: int) -> list[nn.Module]:
    if not params.batch_norm:
        return []
    return [ConditionalBatchNorm(width, labels) if params.condition == "batch_norm" else BatchNorm(width)]


def embedding(labels: int, size: int) -> tuple[nn.Module, int]:
    """(labels -> vector, length of the vector). Size 0 gives the labels themselves."""
    return (Embedding(labels, size), size) if size else (nn.Identity(), labels)


def run(layers: nn.Sequential, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The output of `layers`, of which conditional batch normalisation receives the labels."""
    for layer in layers:
        values = layer(values, labels) if isinstance(layer, ConditionalBatchNorm) else layer(values)
    return values


def apply_spectral_norm(network: nn.Module) -> None:
    """Turn spectral normalisation on in every layer that supports it."""
    for module in network.modules():
        if isinstance(module, (Convolution, Linear)):
            module.apply_spectral_norm()


def _hidden_layers(params: GeneratorNetwork, inputs: int) -> tuple[nn.Sequential, int]:
    """(layers of `units`, size of their output)."""
    sizes = [inputs, *params.units]
    pairs = [(nn.Linear(*pair), activation(params)) for pair in zip(sizes, params.units)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair)), sizes[-1]


class LatentInput(nn.Module):
    """The input of a generator: latents, combined with the labels if `condition` is concat or product."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, labels: int):
        super().__init__()
        self.condition, self.size = params.condition, latent_size
        self.embed: nn.Module
        if self.condition == "product":
            self.embed = Embedding(labels, latent_size)
        elif self.condition == "concat":
            self.embed, added = embedding(labels, params.embedding)
            self.size += added

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.condition == "product":
            product: torch.Tensor = latents * self.embed(labels)
            return product
        return torch.cat([latents, self.embed(labels)], 1) if self.condition == "concat" else latents


class Generator(nn.Module):
    """Dense layer -> transposed convolutions -> tanh."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: Shape, labels: int = 0):
        super().__init__()
        start, width, bias = params.start_size(shape[1]), params.dense_filters, not params.batch_norm
        self.start = (start, start, width)
        self.entry = LatentInput(params, latent_size, labels)
        self.before, size = _hidden_layers(params, self.entry.size)
        self.dense = nn.Linear(size, prod(self.start), bias=params.dense_norm == "none" or bias)
        self.condition = params.condition
        first: list[nn.Module] = []
        if params.batch_norm and params.dense_norm == "maps":
            first += normalization(params, width, labels)
        elif params.batch_norm and params.dense_norm == "units":
            # Each unit is normalised as a map of its own.
            first += [nn.Unflatten(1, (-1, 1, 1)), BatchNorm(prod(self.start)), nn.Flatten()]
        self.by_unit = params.dense_norm == "units" and params.batch_norm
        first += [activation(params, bool(first))] if params.dense_activation else []
        self.first = nn.Sequential(*first)
        if self.condition == "channel":
            self.embed, size = embedding(labels, params.embedding)
            self.label_dense = nn.Linear(size, start * start)
            width += 1
        elif self.condition == "branch":
            self.label_dense = nn.Linear(labels, start * start * params.embedding, bias=bias)
            norm: list[nn.Module] = [BatchNorm(params.embedding)] if params.batch_norm else []
            self.label_first = nn.Sequential(*norm, activation(params, bool(norm)))
            width += params.embedding
        layers: list[nn.Module] = []
        sizes = zip([width, *params.filters], params.filters, params.kernels, params.strides)
        for inputs, outputs, kernel, stride in sizes:
            norm = normalization(params, outputs, labels)
            layers += [TransposedConvolution(inputs, outputs, kernel, stride, bias), *norm]
            layers += [activation(params, bool(norm))]
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


class Head(nn.Module):
    """Features (N, F) -> outputs (N, heads), with the labels if `condition` is merge or projection."""

    def __init__(self, params: DiscriminatorNetwork, features: int, labels: int):
        super().__init__()
        self.condition = params.condition
        self.dropout, self.noise = Dropout(params.head_dropout), GaussianNoise(params.head_noise)
        if self.condition == "merge":
            self.embed, size = embedding(labels, params.embedding)
            self.before = Linear(features, params.units[0])
            widths = [params.units[0] + size, *params.units[1:]]
            layers: list[nn.Module] = []
            for inputs, outputs in zip(widths, params.units[1:]):
                layers += [Linear(inputs, outputs), activation(params)]
            self.after = nn.Sequential(*layers)
            features = widths[-1]
        elif self.condition == "projection":
            self.projection = Linear(labels, features, bias=False)
        self.output = Linear(features, 1 + (labels if self.condition == "auxiliary" else 0))

    def forward(self, features: torch.Tensor, labels: torch.Tensor, stream: Stream | None) -> torch.Tensor:
        features = self.noise(self.dropout(features, stream), stream)
        if self.condition == "merge":
            features = self.after(torch.cat([self.before(features), self.embed(labels)], 1))
        outputs: torch.Tensor = self.output(features)
        if self.condition == "projection":
            outputs = outputs + (self.projection(labels) * features).sum(1, keepdim=True)
        return outputs


class LabelMaps(nn.Module):
    """Images with their labels as further maps: (N, C, S, S) -> (N, `channels`, S', S')."""

    def __init__(self, params: DiscriminatorNetwork, shape: Shape, labels: int):
        super().__init__()
        self.condition, self.size, self.channels, self.out_size = (
            params.condition,
            shape[1],
            shape[0],
            shape[1],
        )
        if self.condition == "channel":
            self.embed: nn.Module = nn.Identity()
            if params.embedding:
                self.embed = nn.Sequential(
                    Embedding(labels, params.embedding), Linear(params.embedding, self.size**2)
                )
            self.channels += 1 if params.embedding else labels
        elif self.condition == "branch":

            def branch(inputs: int) -> nn.Sequential:
                norm = [BatchNorm(params.embedding)] if params.batch_norm else []
                convolution = Convolution(inputs, params.embedding, 2, 2)
                return nn.Sequential(convolution, *norm, activation(params, bool(norm)))

            self.of_images, self.of_labels = branch(shape[0]), branch(labels)
            self.channels, self.out_size = 2 * params.embedding, -(-self.size // 2)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.condition == "channel" and not isinstance(self.embed, nn.Identity):
            return torch.cat([images, self.embed(labels).unflatten(1, (1, self.size, self.size))], 1)
        if self.condition not in ("channel", "branch"):
            return images
        planes = labels[:, :, None, None].expand(-1, -1, self.size, self.size)
        if self.condition == "channel":
            return torch.cat([images, planes], 1)
        return torch.cat([self.of_images(images), self.of_labels(planes)], 1)


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
            norm = params.batch_norm and (position > 0 or params.first_batch_norm)
            layers: list[nn.Module] = [Convolution(channels, filters, kernel, stride, bias=not norm)]
            layers += [BatchNorm(filters)] if norm else []
            self.blocks.append(nn.Sequential(*layers, activation(params, norm)))
            channels, size = filters, -(-size // stride)
        self.input_noise, self.block_noise = (
            GaussianNoise(params.input_noise),
            GaussianNoise(params.block_noise),
        )
        self.block_dropout = Dropout(params.block_dropout)
        self.minibatch_std = params.minibatch_std
        self.head = Head(params, (channels + params.minibatch_std) * size * size, labels)
        if params.spectral_norm:
            apply_spectral_norm(self)

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
        if params.spectral_norm:
            apply_spectral_norm(self)

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
