"""Labelled images sampled from an arm's generators, and from the same networks with initial weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents, initialize, with_own_statistics
from labelmint.gans.sampling import CPU, sample_dataset
from labelmint.random_streams import Stream

_STATISTICS_BATCHES, _BATCH = 4, 256


@dataclass(frozen=True)
class GeneratorSampler:
    """A pools.Sampler of the generators of one archive.

    latent_deviation: factor of the latents. device: where images are computed.
    """

    archive: GeneratorArchive
    latent_deviation: float = 1.0
    device: torch.device = CPU

    def sample(self, images_per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        sampled = sample_dataset(
            self.archive, images_per_class, seed, self.device, latent_deviation=self.latent_deviation
        )
        return sampled.images, sampled.labels

    def untrained(self, seed: int) -> GeneratorSampler:
        """Initial weights, with their own batch normalisation statistics."""
        trained = self.archive
        family, vectors = trained.family, torch.from_numpy(trained.label_spec.vectors)
        build, states = registry.load(trained.family_name).build_generator, []
        for position in range(len(next(iter(trained.weights.values())))):
            network = build(family, trained.shape, vectors.shape[1])
            rng = torch.Generator().manual_seed(derive_seed(seed, "untrained", position))
            initialize(network, family.initialization, rng)
            stream = Stream(derive_seed(seed, "untrained statistics", position))
            batches = [
                (draw_latents(_BATCH, family, stream), vectors[stream.integers(0, len(vectors) - 1, _BATCH)])
                for _ in range(_STATISTICS_BATCHES)
            ]
            states.append(with_own_statistics(network, batches).state_dict())
        weights = {name: np.stack([state[name].numpy() for state in states]) for name in trained.weights}
        return replace(self, archive=replace(trained, weights=weights))
