"""The exponential moving average of a generator's weights: what is published (Yazıcı et al. 2019)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """half_life: images after which a weight's share has halved; 0 keeps the newest weights."""

    def __init__(self, network: nn.Module, half_life: int):
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.half_life = half_life

    @torch.no_grad()
    def update(self, network: nn.Module, images: int, images_seen: int) -> None:
        """Take in the weights after a step of `images`, of `images_seen` in all.

        Early on the half-life is a twentieth of what was seen, so that the first weights do not linger.
        """
        half_life = min(self.half_life, images_seen / 20)
        newest = 1 - 0.5 ** (images / half_life) if half_life > 0 else 1.0
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), newest)

    @torch.no_grad()
    def with_own_statistics(self, batches: list[torch.Tensor]) -> nn.Module:
        """A copy in evaluation mode whose batch normalisation knows the averaged weights.

        The running statistics of training belong to other weights; these are averaged anew over `batches` of latents.
        """
        network = copy.deepcopy(self.network)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        network.train()
        if norms:
            for latents in batches:
                network(latents)
        return network.eval()
