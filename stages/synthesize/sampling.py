"""Images from latent seeds: the same seed gives the same image."""

from __future__ import annotations

import numpy as np
import torch

from stages.prepare.pixels import to_uint8
from stages.prepare.splits import derive_seed
from stages.train_generators.archive import GeneratorArchive
from stages.train_generators.networks import draw_latents
from stages.train_generators.params import Family
from stages.train_generators.randomness import Stream

_BATCH = 500


def latent_seeds(count: int, seed: int, label: int) -> np.ndarray:
    """int64 (count,): distinct seeds, the first of which name the same images whatever the count."""
    first = derive_seed(seed, "latents", label) >> 1  # leaves room to count on
    return first + np.arange(count)


def latents_from_seeds(seeds: np.ndarray, family: Family) -> torch.Tensor:
    """seeds: int64 (N,) -> float (N, latent_size), row i from seed i alone."""
    return torch.vmap(lambda key: draw_latents(1, family, Stream(key))[0])(torch.from_numpy(seeds))


def mint(archive: GeneratorArchive, position: int, seeds: np.ndarray) -> np.ndarray:
    """uint8 (N, C, S, S): images of class number `position`."""
    network = archive.network(position)
    with torch.no_grad():
        batches = [
            to_uint8(network(latents_from_seeds(seeds[at : at + _BATCH], archive.family)))
            for at in range(0, len(seeds), _BATCH)
        ]
    return torch.cat(batches).contiguous().numpy()
