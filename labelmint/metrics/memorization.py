"""Memorization: whether synthetic images are new, or training images again.

Distances of synthetic images to the training images are compared with those of real test images, which are
new. Where training may mirror an image, the generator was shown its mirror image too, which counts as a
training image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelmint.data.storage.splits import derive_seed
from labelmint.metrics.inputs import Comparison, Setup
from labelmint.metrics.nearest import kth_distances, nearest, pair_distances
from labelmint.metrics.new_images import LEVEL, fewer_p_value, near_p_value, z_p_value
from labelmint.metrics.registry import Metric, Values, compares_images
from labelmint.metrics.sampling_order import digests
from labelmint.metrics.training_images import TrainingImages

if TYPE_CHECKING:
    import torch

_NEAR_QUANTILE = 0.01
_PAIRS = 12
_IMAGES_PER_CELL, _MAX_CELLS, _MIN_PER_CELL = 500, 10, 5


def _training_image(setup: Setup) -> str:
    mirrored = ", or the mirror image of one that training may flip" if any(setup.dataset["mirror"]) else ""
    return "a training image of this arm" + mirrored


@compares_images(
    Metric(
        "memorised",
        "lower",
        lambda setup: (
            f"fraction of (at most {setup.params.points}) synthetic images nearer, in features, to "
            f"{_training_image(setup)}, than 99 % of the test images are; 0.01 is what new real images would "
            f"give, and p below {LEVEL} indicates copying; memorised_pixels: the same in pixels"
        ),
        protocol_columns={"n_memorised": "n", "p_memorised": "p"},
    ),
    Metric("memorised_pixels", "lower", protocol_columns={"p_memorised_pixels": "p"}),
    Metric(
        "exact_copies",
        "lower",
        lambda setup: f"synthetic images that are {_training_image(setup)}, byte for byte; of all",
    ),
    Metric(
        "authentic",
        "higher",
        "AuthPct: fraction of synthetic images farther from the nearest training image than that one is from "
        "its own nearest (Alaa et al. 2022); authentic_test: the same for test images, the ceiling; "
        f"p, of as few by Fisher's exact test, below {LEVEL} indicates copying",
        title="AuthPct",
        protocol_columns={"p_authentic": "p"},
    ),
    Metric("authentic_test", "none", columns=()),
    Metric(
        "copying",
        "none",
        "C_T: z of synthetic against test images' distances to the training images, within cells (Meehan et "
        "al. 2020), over its deviation for new images, so that these give a standard normal value: below "
        f"-2.33 (p {LEVEL}) is copying, far above 0 underfitting; a tenth of copies takes about 1,000 test "
        "images",
        title="C_T",
        protocol_columns={"p_copying": "p"},
    ),
)
def memorization(comparison: Comparison) -> dict[str, Values]:
    """Memorization of the synthetic images; also `nearest`, their nearest training images, by space.

    Compared are at most `points` synthetic and `points` test images with all training images.
    """
    synthetic, real, test = comparison.sources["synthetic"], comparison.shown, comparison.test
    device = comparison.device
    shown = TrainingImages(real.images, comparison.flipped)
    rows, test_rows = (images.indices[: comparison.params.points] for images in (synthetic, test))
    own, reference = synthetic.features[: len(rows)], test.features[: len(test_rows)]
    plain = np.empty_like(real.features)
    plain[real.indices] = real.features
    training = shown.points(plain, lambda images: comparison.network.features(images, device))

    near = Neighbours.of(own, reference, training, device)
    near_in_pixels = Neighbours.in_pixels(synthetic.images[rows], test.images[test_rows], shown, device)
    c_t = copying(own, reference, real.features, near, device)
    authentic = authenticity(near, training, shown.mirror_images, device)
    memorised, memorised_pixels = fraction_near(near), fraction_near(near_in_pixels)
    kept = comparison.rows
    how = comparison.how("synthetic", len(rows), len(test_rows)) | {"n_training": len(training)}
    against_training = how | {"reference": "train", "n_reference": len(training)}
    return {
        "synthetic": {
            "memorised": memorised.value,
            "memorised_pixels": memorised_pixels.value,
            "exact_copies": exact_copies(synthetic.images, shown),
            "authentic": authentic.value,
            "authentic_test": authentic.of_test,
            "copying": c_t.value,
            "cells": c_t.cells,
            "nearest": {
                "features": nearest_pairs(near, rows, shown, kept),
                "pixels": nearest_pairs(near_in_pixels, rows, shown, kept),
            },
            "measured": {
                "memorised": how | {"quantile": _NEAR_QUANTILE, "p": memorised.p},
                "memorised_pixels": how
                | {"quantile": _NEAR_QUANTILE, "p": memorised_pixels.p, "network": "none: pixels"},
                "exact_copies": against_training | {"n": len(synthetic), "network": "none: bytes"},
                "authentic": against_training | {"p": authentic.p},
                "authentic_test": against_training | {"split": test.split, "n": len(test_rows)},
                "copying": how | {"cells": c_t.cells, "p": c_t.p},
            },
        }
    }


@dataclass(frozen=True)
class Neighbours:
    """Distances to the nearest training images, float64 (n,), and their indices, int64 (n,)."""

    synthetic: np.ndarray
    indices: np.ndarray
    test: np.ndarray
    test_indices: np.ndarray

    @classmethod
    def of(
        cls,
        synthetic: np.ndarray,
        test: np.ndarray,
        training: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Neighbours:
        """Neighbours by features, (n, d) each."""
        return cls._split(nearest(np.concatenate([synthetic, test]), training, device), len(synthetic))

    @classmethod
    def in_pixels(
        cls,
        synthetic: np.ndarray,
        test: np.ndarray,
        training: TrainingImages,
        device: torch.device | str = "cpu",
    ) -> Neighbours:
        """Neighbours by pixels; synthetic, test: uint8 (n, C, S, S)."""
        found = training.nearest_in_pixels(np.concatenate([synthetic, test]), device)
        return cls._split(found, len(synthetic))

    @classmethod
    def _split(cls, found: tuple[np.ndarray, np.ndarray], count: int) -> Neighbours:
        """found: distances and indices of `count` synthetic images, then of test images."""
        distances, indices = found
        return cls(distances[:count], indices[:count], distances[count:], indices[count:])


@dataclass(frozen=True)
class Measured:
    """A measure of the synthetic images, and its p value if they are new."""

    value: float
    p: float


@dataclass(frozen=True)
class Authenticity(Measured):
    """of_test: the same measure of the test images."""

    of_test: float


@dataclass(frozen=True)
class Copying:
    """C_T and its p value, None where no cell has enough images. cells: those that have."""

    value: float | None
    p: float | None
    cells: int


def fraction_near(found: Neighbours) -> Measured:
    """Fraction of images nearer to a training image than 99 % of the test images: 0.01 for new images."""
    rank = max(1, round(_NEAR_QUANTILE * (len(found.test) + 1)))
    near = int((found.synthetic < np.partition(found.test, rank - 1)[rank - 1]).sum())
    p = near_p_value(near, len(found.synthetic), rank, len(found.test))
    return Measured(near / len(found.synthetic), p)


def authenticity(
    found: Neighbours,
    training: np.ndarray,
    mirror_images: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Authenticity:
    """Fraction of images farther from the nearest training image than that one is from its own nearest.

    AuthPct of Alaa et al. 2022.
    training: (N + M, d). mirror_images: as TrainingImages has them; an image's own mirror image does not
    count as another image. New real images do not reach 1, so theirs is measured too.
    """
    indices = np.concatenate([found.indices, found.test_indices])
    rows, inverse = np.unique(indices, return_inverse=True)
    spacing = _spacing(training, rows, mirror_images, device)[inverse]
    own, of_test = np.split(spacing, [len(found.indices)])
    authentic, authentic_test = found.synthetic > own, found.test > of_test
    p = fewer_p_value(int(authentic.sum()), len(authentic), int(authentic_test.sum()), len(authentic_test))
    return Authenticity(float(authentic.mean()), p, float(authentic_test.mean()))


def _spacing(
    training: np.ndarray, rows: np.ndarray, mirror_images: np.ndarray | None, device: torch.device | str
) -> np.ndarray:
    """Distance from each of `rows` to the nearest other image."""
    spacing = kth_distances(training, 1, rows, device)
    if mirror_images is None or not (mirrored := np.flatnonzero(mirror_images[rows] >= 0)).size:
        return spacing
    to_mirror = pair_distances(training, rows[mirrored], training, mirror_images[rows[mirrored]])
    nearest_is_mirror = mirrored[to_mirror <= spacing[mirrored]]
    spacing[nearest_is_mirror] = kth_distances(training, 2, rows[nearest_is_mirror], device)
    return spacing


def copying(
    synthetic: np.ndarray,
    test: np.ndarray,
    training: np.ndarray,
    found: Neighbours,
    device: torch.device | str = "cpu",
) -> Copying:
    """C_T (Meehan et al. 2020): z of a Mann-Whitney test of synthetic against test images' distances.

    Far below 0: synthetic images are nearer than new ones, which is copying; far above: farther, which is
    underfitting. The test is made within cells of the training set (k-means), and averaged by the fraction of
    test images in each. The published average has a deviation below 1 for new images, .3 with ten equal
    cells; here it is divided by it, so that the value is a z. Arguments are features, (N, d).
    """
    from scipy.cluster.vq import kmeans2

    cells = int(np.clip(len(training) // _IMAGES_PER_CELL, 1, _MAX_CELLS))
    if cells == 1:
        own, reference = np.zeros(len(synthetic), int), np.zeros(len(test), int)
    else:
        rng = np.random.default_rng(derive_seed("cells"))
        centres, _ = kmeans2(training.astype(np.float64), cells, minit="++", seed=rng)
        own, reference = (nearest(points, centres, device)[1] for points in (synthetic, test))
    scores, weights = [], []
    for cell in range(cells):
        first, second = found.synthetic[own == cell], found.test[reference == cell]
        m, n = len(first), len(second)
        if min(m, n) < _MIN_PER_CELL:
            continue
        # Equal distances share their mean rank. scipy.stats, which has this too, takes 1.5 s to import.
        _, inverse, ties = np.unique(np.concatenate([first, second]), return_inverse=True, return_counts=True)
        ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
        u = ranks[:m].sum() - m * (m + 1) / 2  # pairs in which the synthetic image is farther
        variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
        scores.append((u - m * n / 2) / np.sqrt(variance) if variance > 0 else 0.0)
        weights.append(n)
    if not scores:
        return Copying(None, None, 0)
    z = float(np.dot(scores, weights) / np.linalg.norm(weights))
    return Copying(z, z_p_value(z), len(scores))


def exact_copies(images: np.ndarray, training: TrainingImages) -> int:
    """Number of images, uint8 (N, C, S, S), that equal one of the training images byte for byte."""
    known = training.digests
    return sum(digest in known for digest in digests(images))


def nearest_pairs(
    found: Neighbours, rows: np.ndarray, training: TrainingImages, training_rows: np.ndarray
) -> dict[str, list[list[float]]]:
    """The `closest` pairs of synthetic and training images, and `typical` ones, which are a random sample.

    rows, training_rows: index of each measured image within its set. Returns: for each pair the index of the
    synthetic image, the index of the training image, their distance, and 1 where it is the mirror image of
    that one, else 0.
    """
    order = np.argsort(found.synthetic, kind="stable")

    def pair(row: int) -> list[float]:
        index, mirrored = training.origin(int(found.indices[row]))
        return [int(rows[row]), int(training_rows[index]), float(found.synthetic[row]), int(mirrored)]

    picks = {"closest": order[:_PAIRS], "typical": np.arange(len(order))[:_PAIRS]}
    return {name: [pair(row) for row in chosen] for name, chosen in picks.items()}
