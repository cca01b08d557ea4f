"""Features of discriminators: maps of all convolutions, max-pooled and concatenated (Radford et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import archive, registry
from labelmint.gans.initialization import initialize, with_own_statistics
from labelmint.metrics.settings import Representation

BATCH = 200
_STATISTICS_BATCHES = 50


@dataclass(frozen=True)
class Extractor:
    """Features of images by discriminators.

    networks: one discriminator, or one for each class, whose features are concatenated; none: the features
    are pixels.
    labels: length of a label. pooling, pool_size: as in Representation.
    """

    networks: list[nn.Module]
    labels: int
    pooling: str
    pool_size: int
    device: torch.device

    @torch.no_grad()
    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (N, C, S, S) -> float32 (N, d)."""
        images = normalize(torch.from_numpy(np.array(batch)).to(self.device))
        if not self.networks:
            return images.flatten(1).cpu().numpy()
        return np.concatenate([self._features(network, images).cpu().numpy() for network in self.networks], 1)

    def _features(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        maps: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, output: maps.append(output))
            for block in blocks(network)
        ]
        try:
            network(images, torch.zeros(len(images), self.labels, device=images.device))
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([self._pooled(each).flatten(1) for each in maps], 1)

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        if maps.ndim == 2:
            return maps  # of a dense layer
        if self.pooling == "window":
            return F.max_pool2d(maps, min(self.pool_size, maps.shape[-1]))
        return F.adaptive_max_pool2d(maps, min(self.pool_size, maps.shape[-1]))


def blocks(network: nn.Module) -> list[nn.Module]:
    """Modules of a discriminator that output its maps, in order."""
    trunk: Any = getattr(network, "trunk", network)
    return [*([trunk.first] if hasattr(trunk, "first") else []), *trunk.blocks]


def extractors(
    generator: Path, training: np.ndarray, params: Representation, device: torch.device, seed: int
) -> dict[str, Extractor]:
    """Extractors by name: an arm's trained discriminators, the same untrained, and pixels.

    generator: folder of the arm's generators and discriminators. training: uint8 (N, C, S, S), images for the
    statistics of batch normalisation.
    """
    trained = archive.load_discriminators(generator)
    generators = archive.load(generator)
    labels = generators.label_spec.vectors.shape[1]
    untrained = []
    for index in range(len(trained)):
        network = registry.load(generators.family_name).build_discriminator(
            generators.family, generators.shape, labels
        )
        rng = torch.Generator().manual_seed(derive_seed(seed, "random discriminator", index))
        initialize(network, generators.family.initialization, rng)
        untrained.append(network)

    def batches() -> Iterator[tuple[torch.Tensor, ...]]:
        order = np.random.default_rng(derive_seed("statistics")).permutation(len(training))
        for at in range(0, min(len(order), _STATISTICS_BATCHES * BATCH), BATCH):
            rows = np.sort(order[at : at + BATCH])
            images = normalize(torch.from_numpy(np.array(training[rows])).to(device))
            yield images, torch.zeros(len(rows), labels, device=device)

    def extractor(networks: list[nn.Module]) -> Extractor:
        ready = [with_own_statistics(network.to(device), batches()) for network in networks]
        return Extractor(ready, labels, params.pooling, params.pool_size, device)

    return {
        "discriminator": extractor(trained),
        "untrained discriminator": extractor(untrained),
        "pixels": extractor([]),
    }
