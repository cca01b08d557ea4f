"""Sample images from a generator. Every image depends on its own latent seed only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream
from labelmint.runtime.progress import Count, Progress, uncounted

_BATCH_SIZE = 500
_GPU_BATCH_SIZE = 4096
CPU = torch.device("cpu")
_MAX_PREVIEW_ROWS = 12


@dataclass(frozen=True)
class SampledDataset:
    """A labelled data set of synthetic images.

    images: uint8 (N, C, S, S).
    labels: int64 (N,), -1 for images without labels; or float32 (N, A) multi-hot attributes.
    seeds: int64 (N,), the latent seed of each image.
    rows: (title, image indices) of each row of a preview sheet.
    """

    images: np.ndarray
    labels: np.ndarray
    seeds: np.ndarray
    rows: list[tuple[str, np.ndarray]]


def sample_dataset(
    archive: GeneratorArchive,
    images_per_class: int,
    seed: int,
    device: torch.device = CPU,
    *,
    latent_deviation: float = 1.0,
) -> SampledDataset:
    """Sample a labelled data set on a device. latent_deviation: factor of the latents.

    Classes get `images_per_class` images each. Patterns of attributes are as frequent as among the real
    images. The total is always `images_per_class` times the number of classes or attributes, so that all data
    sets sampled with one params.yaml have the same size.
    """
    label_spec, labels_type = archive.label_spec, archive.family.labels
    total = images_per_class * len(label_spec.names)
    sample = partial(sample_images, archive, device=device, latent_deviation=latent_deviation)
    if labels_type == "per_class":
        class_seeds = [latent_seeds(images_per_class, seed, label) for label in range(len(label_spec.names))]
        no_labels = np.zeros((images_per_class, 0), np.float32)
        with Progress("sampling", total, "images") as progress:
            images = [
                sample(label, seeds, no_labels, count=progress.add)[0]
                for label, seeds in enumerate(class_seeds)
            ]
        labels = np.repeat(np.arange(len(label_spec.names)), images_per_class)
        rows = _rows_by_class(label_spec.names, labels)
        return SampledDataset(np.concatenate(images), labels, np.concatenate(class_seeds), rows)
    counts = label_spec.counts(total)
    all_seeds = np.concatenate([latent_seeds(int(count), seed, index) for index, count in enumerate(counts)])
    requested = np.repeat(np.arange(len(counts)), counts)
    with Progress("sampling", total, "images") as progress:
        vectors = label_spec.vectors[requested]
        sampled, predicted = sample(0, all_seeds, vectors, count=progress.add)
    if labels_type == "conditional":
        return SampledDataset(sampled, requested, all_seeds, _rows_by_class(label_spec.names, requested))
    rows = [
        (label_spec.title(index), np.flatnonzero(requested == index))
        for index in label_spec.commonest(_MAX_PREVIEW_ROWS)
    ]
    labels = predicted if labels_type == "multi_hot" else np.full(total, -1)
    return SampledDataset(sampled, labels, all_seeds, rows)


def _rows_by_class(names: list[str], labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(name, np.flatnonzero(labels == label)) for label, name in enumerate(names)]


def latent_seeds(count: int, seed: int, label: int) -> np.ndarray:
    """Distinct latent seeds of one label, int64 (count,). A larger count only appends seeds."""
    first = derive_seed(seed, "latents", label) >> 1  # so that first + count stays within int64
    return first + np.arange(count)


def latents_from_seeds(seeds: np.ndarray, family: Family, device: torch.device = CPU) -> torch.Tensor:
    """Latents on the device, float (N, latent_size). Row i depends on seeds[i] only. seeds: int64 (N,)."""
    keys = torch.from_numpy(seeds).to(device)
    return torch.vmap(lambda key: draw_latents(1, family, Stream(key))[0])(keys)


def sample_images(
    archive: GeneratorArchive,
    position: int,
    seeds: np.ndarray,
    requested: np.ndarray,
    device: torch.device = CPU,
    *,
    latent_deviation: float = 1.0,
    count: Count = uncounted,
) -> tuple[np.ndarray, np.ndarray]:
    """Images of the generators of class number `position`, uint8 (N, C, S, S), and their labels, (N, K).

    seeds: int64 (N,), latent seeds, which also choose among several generators. requested: float32 (N, K),
    the labels to generate. device: where images are computed; devices differ in rounding. latent_deviation:
    factor of the latents. count: of the images.
    The returned labels, float32, equal `requested`, except that a fairness GAN generates the outcome
    attribute itself.
    """
    size = _BATCH_SIZE if device.type == "cpu" else _GPU_BATCH_SIZE
    images = np.empty((len(seeds), *archive.shape), np.uint8)
    labels = np.empty_like(requested)
    for member in range(archive.ensemble):
        network = archive.network(position, member).to(device)
        own = np.flatnonzero(seeds % archive.ensemble == member)
        for batch in (own[start : start + size] for start in range(0, len(own), size)):
            latents = latent_deviation * latents_from_seeds(seeds[batch], archive.family, device)
            with torch.no_grad():
                generated, given = network(latents, torch.from_numpy(requested[batch]).to(device))
            images[batch] = to_uint8(generated).cpu().numpy()
            # Outcomes of a fairness GAN are 0 or 1 up to rounding.
            labels[batch] = given.round().cpu().numpy()
            count(len(latents))
    return images, labels
