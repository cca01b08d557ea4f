"""Parts of networks: activations, normalisation, and the layers through which labels enter.

Latents are float (N, z), labels float (N, K) with K 0 without labels, images float (N, C, S, S). Stochastic
layers act only when given a `stream`.
"""

from __future__ import annotations

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
)
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
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


def activated(params: GeneratorNetwork | DiscriminatorNetwork, norm: list[nn.Module]) -> list[nn.Module]:
    """Batch normalisation, which may be none, and activation in the order of the settings."""
    if params.norm_after_activation:
        return [activation(params), *norm]
    return [*norm, activation(params, inplace=bool(norm))]


def embedding(labels: int, size: int) -> tuple[nn.Module, int]:
    """(labels -> vector, length of the vector). Size 0 gives the labels themselves."""
    return (Embedding(labels, size), size) if size else (nn.Identity(), labels)


def run(layers: nn.Sequential, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The output of `layers`, of which conditional batch normalisation receives the labels."""
    for layer in layers:
        values = layer(values, labels) if isinstance(layer, ConditionalBatchNorm) else layer(values)
    return values


def apply_spectral_norm(network: nn.Module, params: DiscriminatorNetwork, first: nn.Module) -> None:
    """Turn spectral normalisation on in the layers that the settings say. first: the first hidden layer."""
    if not params.spectral_norm:
        return
    exempt = set() if params.first_spectral_norm else set(first.modules())
    for module in network.modules():
        if isinstance(module, (Convolution, Linear)) and module not in exempt:
            module.apply_spectral_norm()


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
                # An embedding of one value per pixel is the map itself.
                enlarged = params.embedding != self.size**2
                dense = [Linear(params.embedding, self.size**2)] if enlarged else []
                self.embed = nn.Sequential(Embedding(labels, params.embedding), *dense)
            self.channels += 1 if params.embedding else labels
        elif self.condition == "branch":

            def branch(inputs: int) -> nn.Sequential:
                norm: list[nn.Module] = [BatchNorm(params.embedding)] if params.batch_norm else []
                return nn.Sequential(Convolution(inputs, params.embedding, 2, 2), *activated(params, norm))

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
