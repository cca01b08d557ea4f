"""Networks built from data (Radford et al. 2016, with the options of the reports)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from stages.train_generators.layers import BatchNorm, Convolution, Dropout, GaussianNoise, TransposedConvolution
from stages.train_generators.params import DiscriminatorNetwork, Family, GeneratorNetwork
from stages.train_generators.randomness import Stream


def activation(name: str, negative_slope: float, inplace: bool) -> nn.Module:
    """inplace: only after batch normalisation, which does not need its own output for the gradient, and gives no view."""
    if name == "leaky_relu":
        return nn.LeakyReLU(negative_slope, inplace)
    return nn.ReLU(inplace) if name == "relu" else nn.SELU(inplace)


class Generator(nn.Module):
    """latents: float (N, latent_size) -> images in [-1, 1]: float (N, C, S, S)."""

    def __init__(self, params: GeneratorNetwork, latent_size: int, shape: tuple[int, int, int]):
        super().__init__()
        start = params.start_size(shape[1])
        bias = not params.batch_norm
        widths = [params.dense_filters, *params.filters]

        def after(layer: nn.Module, width: int) -> list[nn.Module]:
            norm = [BatchNorm(width)] if params.batch_norm else []
            return [layer, *norm, activation(params.activation, params.negative_slope, params.batch_norm)]

        layers = after(nn.Identity(), widths[0])
        for inputs, outputs, kernel, stride in zip(widths, widths[1:], params.kernels, params.strides):
            layers += after(TransposedConvolution(inputs, outputs, kernel, stride, bias), outputs)
        layers += [TransposedConvolution(widths[-1], shape[0], params.kernels[-1], params.strides[-1], True), nn.Tanh()]
        self.dense = nn.Linear(latent_size, start * start * widths[0], bias=bias)
        self.start = (start, start, widths[0])
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        # The dense layer's output is read as height x width x maps, which is channels_last without a copy.
        return self.layers(self.dense(latents).unflatten(1, self.start).permute(0, 3, 1, 2))


class Discriminator(nn.Module):
    """images in [-1, 1]: float (N, C, S, S) -> logits: float (N,). Stochastic layers act only when given `stream`."""

    def __init__(self, params: DiscriminatorNetwork, shape: tuple[int, int, int]):
        super().__init__()
        self.blocks = nn.ModuleList()
        channels, size = shape[0], shape[1]
        for position, (filters, kernel, stride) in enumerate(zip(params.filters, params.kernels, params.strides)):
            norm = params.batch_norm and position > 0
            layers: list[nn.Module] = [Convolution(channels, filters, kernel, stride, bias=not norm)]
            layers += [BatchNorm(filters)] if norm else []
            layers.append(activation(params.activation, params.negative_slope, norm))
            self.blocks.append(nn.Sequential(*layers))
            channels, size = filters, -(-size // stride)
        self.block_dropout = Dropout(params.block_dropout)
        self.head_dropout = Dropout(params.head_dropout)
        self.head_noise = GaussianNoise(params.head_noise)
        self.head = nn.Linear(channels * size * size, 1)

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        maps = images
        for block in self.blocks:
            maps = self.block_dropout(block(maps), stream)
        # Height x width x maps, as they lie in memory: another order would cost a copy, and a slow gradient.
        features = self.head_noise(self.head_dropout(maps.permute(0, 2, 3, 1).flatten(1), stream), stream)
        return self.head(features).squeeze(1)


def initialize(network: nn.Module, scheme: str, rng: torch.Generator) -> None:
    """Draw all weights from `rng`.

    normal: kernels N(0, 0.02), batch normalisation's gamma N(1, 0.02) and beta N(0, 0.02), biases 0.
    glorot_uniform: Glorot and Bengio 2010, gamma 1, beta and biases 0.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            spread = 0.02 if scheme == "normal" else 0.0
            nn.init.normal_(module.weight, 1.0, spread, generator=rng)
            nn.init.normal_(module.bias, 0.0, spread, generator=rng)
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            if scheme == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            else:
                nn.init.xavier_uniform_(module.weight, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_latents(count: int, family: Family, stream: Stream) -> torch.Tensor:
    """float (count, latent_size): N(0, 1), or uniform on (-1, 1)."""
    if family.latent_distribution == "normal":
        return stream.normal(count, family.latent_size)
    return 2 * stream.uniform(count, family.latent_size) - 1


@torch.no_grad()
def with_own_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> nn.Module:
    """`network` in evaluation mode, its batch normalisation knowing the mean statistics over `batches` of its inputs.

    The running statistics of training would belong to other weights than the averaged ones.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.collecting = None, True  # None: a plain mean
    network.train()
    if norms:
        for batch in batches:
            network(batch)
    for norm in norms:
        norm.collecting = False
    return network.eval()
