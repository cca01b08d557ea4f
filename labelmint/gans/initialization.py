"""Initial weights, latents, and batch normalisation statistics of a published network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.gans.layers import BatchNorm, ConditionalBatchNorm, Embedding, SpectralNorm, power_iteration
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream

_FIRST_ITERATIONS = 20


def initialize(network: nn.Module, scheme: str, rng: torch.Generator) -> None:
    """Draw all weights from `rng`.

    normal: kernels N(0, 0.02), gamma of batch normalisation N(1, 0.02) and beta N(0, 0.02), biases 0.
    glorot_uniform: kernels by Glorot and Bengio 2010, gamma 1, beta and biases 0.
    Embeddings at the entry of a network are N(0, 1). Those of conditional batch normalisation are N(0, 0.02)
    or 0, since they are added to 1 and 0.
    """
    in_norms = {
        id(embedding)
        for module in network.modules()
        if isinstance(module, ConditionalBatchNorm)
        for embedding in (module.scale, module.shift)
    }
    spread = 0.02 if scheme == "normal" else 0.0
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, spread, generator=rng)
            nn.init.normal_(module.bias, 0.0, spread, generator=rng)
        elif isinstance(module, Embedding):
            nn.init.normal_(module.weight, 0.0, spread if id(module) in in_norms else 1.0, generator=rng)
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            if scheme == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            else:
                nn.init.xavier_uniform_(module.weight, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer in spectral_layers(network):
            direction = F.normalize(torch.randn(len(layer.weight), generator=rng), dim=0)
            for _ in range(_FIRST_ITERATIONS):
                direction = power_iteration(layer.weight.flatten(1), direction)
            layer.direction.copy_(direction)


def spectral_layers(network: nn.Module) -> list[SpectralNorm]:
    """The layers with spectral normalisation."""
    return [
        module
        for module in network.modules()
        if isinstance(module, SpectralNorm) and module.has_spectral_norm
    ]


def draw_latents(count: int, family: Family, stream: Stream) -> torch.Tensor:
    """Latents, float (count, latent_size): N(0, 1), or uniform on (-1, 1)."""
    if family.latent_distribution == "normal":
        return stream.normal(count, family.latent_size)
    return 2 * stream.uniform(count, family.latent_size) - 1


@torch.no_grad()
def with_own_statistics(network: nn.Module, batches: Iterable[tuple[torch.Tensor, ...]]) -> nn.Module:
    """`network` in evaluation mode, with the mean batch normalisation statistics over `batches` of inputs.

    Statistics gathered during training would belong to other weights than the averaged ones.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.start_collecting()
    network.train()
    if norms:
        for batch in batches:
            network(*batch)
    for norm in norms:
        norm.collecting = False
    return network.eval()
