"""Images from latent seeds: the same seed gives the same image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream

_BATCH = 500
_ROWS = 12


@dataclass(frozen=True)
class SampledDataset:
    """images: uint8 (N, C, S, S). labels: int64 (N,), -1 where there are none; or float32 multi-hot (N, A). seeds: int64 (N,).

    rows: what a sheet of samples shows a row each: a name, and places in the set.
    """

    images: np.ndarray
    labels: np.ndarray
    seeds: np.ndarray
    rows: list[tuple[str, np.ndarray]]


def sample_dataset(archive: GeneratorArchive, images_per_class: int, seed: int) -> SampledDataset:
    """A labelled set: of each class as many; of multi-hot labels each pattern in its share of the real ones.

    In all images_per_class times the number of classes or attributes, so that sets of one params.yaml have one size.
    """
    label_spec, kind = archive.label_spec, archive.family.labels
    total = images_per_class * len(label_spec.names)
    if kind == "per_class":
        seeds = [latent_seeds(images_per_class, seed, label) for label in range(len(label_spec.names))]
        nothing = np.zeros((images_per_class, 0), np.float32)
        images = [sample_images(archive, label, each, nothing)[0] for label, each in enumerate(seeds)]
        labels = np.repeat(np.arange(len(label_spec.names)), images_per_class)
        return SampledDataset(
            np.concatenate(images), labels, np.concatenate(seeds), _by_class(label_spec.names, labels)
        )
    counts = label_spec.counts(total)
    seeds = [latent_seeds(int(count), seed, place) for place, count in enumerate(counts)]
    which = np.repeat(np.arange(len(counts)), counts)
    made, told = sample_images(archive, 0, np.concatenate(seeds), label_spec.vectors[which])
    if kind == "conditional":
        return SampledDataset(made, which, np.concatenate(seeds), _by_class(label_spec.names, which))
    rows = [(label_spec.title(place), np.flatnonzero(which == place)) for place in label_spec.commonest(_ROWS)]
    labels = told if kind == "multi_hot" else np.full(total, -1)
    return SampledDataset(made, labels, np.concatenate(seeds), rows)


def _by_class(names: list[str], labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(name, np.flatnonzero(labels == label)) for label, name in enumerate(names)]


def latent_seeds(count: int, seed: int, label: int) -> np.ndarray:
    """int64 (count,): distinct seeds, the first of which name the same images whatever the count."""
    first = derive_seed(seed, "latents", label) >> 1  # leaves room to count on
    return first + np.arange(count)


def latents_from_seeds(seeds: np.ndarray, family: Family) -> torch.Tensor:
    """seeds: int64 (N,) -> float (N, latent_size), row i from seed i alone."""
    return torch.vmap(lambda key: draw_latents(1, family, Stream(key))[0])(torch.from_numpy(seeds))


def sample_images(
    archive: GeneratorArchive, position: int, seeds: np.ndarray, requested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Images of generator number `position`, and their labels: uint8 (N, C, S, S), float32 (N, K).

    seeds: int64 (N,). wished: float32 (N, K), the labels asked for, which most generators answer with; a fair one has its own.
    """
    network = archive.network(position)
    images, labels = [], []
    with torch.no_grad():
        for at in range(0, len(seeds), _BATCH):
            latents = latents_from_seeds(seeds[at : at + _BATCH], archive.family)
            made, told = network(latents, torch.from_numpy(requested[at : at + _BATCH]))
            images.append(to_uint8(made))
            labels.append(told)
    # A fair generator's outcomes are 0 or 1 but for rounding.
    return torch.cat(images).contiguous().numpy(), torch.cat(labels).round().numpy()
