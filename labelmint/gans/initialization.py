"""Initial weights, latents, and the statistics of the network that is published."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from labelmint.gans.layers import BatchNorm, Embedding, Spectral, power_iteration
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream

_FIRST_ITERATIONS = 20


def initialize(network: nn.Module, scheme: str, rng: torch.Generator) -> None:
    """Draw all weights from `rng`.

    normal: kernels N(0, 0.02), batch normalisation's gamma N(1, 0.02) and beta N(0, 0.02), biases 0.
    glorot_uniform: Glorot and Bengio 2010, gamma 1, beta and biases 0. Embeddings are N(0, 1) at the entry of a network;
    those of conditional batch normalisation N(0, 0.02) or 0, since they are added to 1 and 0.
    """
    small = {
        id(part) for module in network.modules() if hasattr(module, "shift") for part in (module.scale, module.shift)
    }
    spread = 0.02 if scheme == "normal" else 0.0
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, spread, generator=rng)
            nn.init.normal_(module.bias, 0.0, spread, generator=rng)
        elif isinstance(module, Embedding):
            nn.init.normal_(module.weight, 0.0, spread if id(module) in small else 1.0, generator=rng)
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            if scheme == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            else:
                nn.init.xavier_uniform_(module.weight, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer in limited(network):
            direction = F.normalize(torch.randn(len(layer.weight), generator=rng), dim=0)
            for _ in range(_FIRST_ITERATIONS):
                direction = power_iteration(layer.weight.flatten(1), direction)
            layer.direction.copy_(direction)


def limited(network: nn.Module) -> list[Spectral]:
    """The layers under spectral normalisation."""
    return [module for module in network.modules() if isinstance(module, Spectral) and module.limited]


def draw_latents(count: int, family: Family, stream: Stream) -> torch.Tensor:
    """float (count, latent_size): N(0, 1), or uniform on (-1, 1)."""
    if family.latent_distribution == "normal":
        return stream.normal(count, family.latent_size)
    return 2 * stream.uniform(count, family.latent_size) - 1


@torch.no_grad()
def with_own_statistics(network: nn.Module, batches: Iterable[tuple[torch.Tensor, ...]]) -> nn.Module:
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
            network(*batch)
    for norm in norms:
        norm.collecting = False
    return network.eval()
