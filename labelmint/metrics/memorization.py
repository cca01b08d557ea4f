"""Are minted images new, or training images again?

Distances of minted images to the training images are compared with those of real test images, which are surely new. Where
training may flip an image, its mirror image is one that the generator was shown, and counts as a training image too.
Points are features, float (N, d).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelmint.data.storage.splits import derive_seed
from labelmint.metrics.content import digests
from labelmint.metrics.distances import nearest, radii

_NEAR_QUANTILE = 0.01
_SHOWN = 12
_IMAGES_PER_CELL, _MOST_CELLS, _LEAST_OF_A_CELL = 500, 10, 5
_ROUNDING = 1e-5  # of distances, features being near 1


@dataclass(frozen=True)
class Training:
    """What a generator was shown: images as they are, uint8 (N, C, S, S), and behind them the mirror images of some.

    flipped: int64 (M,), which of them are mirrored. Places below N are of images as they are, the others of mirror images.
    """

    images: np.ndarray
    flipped: np.ndarray

    @property
    def _to_flip(self) -> np.ndarray:
        return self.images if len(self.flipped) == len(self.images) else self.images[self.flipped]

    def points(self, plain: np.ndarray, features: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(N + M, d). plain: features of the images as they are. features: makes those of images."""
        if not len(self.flipped):
            return plain
        return np.concatenate([plain, features(self._to_flip[..., ::-1])])

    @property
    def digests(self) -> set[bytes]:
        known = set(digests(self.images))
        return known.union(digests(self._to_flip[..., ::-1])) if len(self.flipped) else known

    @property
    def partners(self) -> np.ndarray:
        """int64 (N + M,): the place of each one's own mirror image, -1 for none."""
        found = np.full(len(self.images) + len(self.flipped), -1)
        found[self.flipped] = np.arange(len(self.images), len(found))
        found[len(self.images) :] = self.flipped
        return found

    def origin(self, place: int) -> tuple[int, bool]:
        """(place of the image as it is, whether its mirror image is meant)."""
        count = len(self.images)
        return (place, False) if place < count else (int(self.flipped[place - count]), True)

    def nearest_in_pixels(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from each image to the nearest that was shown, and that one's place. images: uint8 (n, C, S, S).

        An image lies as far from another's mirror image as its own mirror image from the other: so the few are flipped, not the many.
        """
        distances, places = nearest(_flat(images), _flat(self.images))
        if not len(self.flipped):
            return distances, places
        mirrored, which = nearest(_flat(images[..., ::-1]), _flat(self._to_flip))
        closer = mirrored < distances
        return np.where(closer, mirrored, distances), np.where(closer, len(self.images) + which, places)


def _flat(images: np.ndarray) -> np.ndarray:
    """uint8 (N, C * S * S)."""
    return images.reshape(len(images), -1)


@dataclass(frozen=True)
class Neighbours:
    """Distances to the nearest training image, and the place of that one, of minted and of test images."""

    minted: np.ndarray
    places: np.ndarray
    test: np.ndarray
    test_places: np.ndarray


def neighbours(minted: np.ndarray, test: np.ndarray, training: np.ndarray) -> Neighbours:
    return Neighbours(*nearest(minted, training), *nearest(test, training))


def neighbours_in_pixels(minted: np.ndarray, test: np.ndarray, training: Training) -> Neighbours:
    """minted, test: uint8 (n, C, S, S)."""
    return Neighbours(*training.nearest_in_pixels(minted), *training.nearest_in_pixels(test))


def fraction_near(found: Neighbours) -> float:
    """Share of minted images nearer to a training image than 99 % of the test images are: 0.01 is what new images give."""
    return float((found.minted < np.quantile(found.test, _NEAR_QUANTILE)).mean())


def authenticity(found: Neighbours, training: np.ndarray, partners: np.ndarray | None = None) -> dict[str, float]:
    """AuthPct (Alaa et al. 2022): share of images farther from their nearest training image than that one is from its own.

    partners: as Training has them; an image's own mirror image is not another image. New real images do not reach 1, so that
    theirs stands beside it. Returns: authentic, authentic_test.
    """
    return {
        "authentic": _authentic(found.minted, found.places, training, partners),
        "authentic_test": _authentic(found.test, found.test_places, training, partners),
    }


def _authentic(distances: np.ndarray, places: np.ndarray, training: np.ndarray, partners: np.ndarray | None) -> float:
    hit, which = np.unique(places, return_inverse=True)
    return float((distances > _spacing(training, hit, partners)[which]).mean())


def _spacing(training: np.ndarray, of: np.ndarray, partners: np.ndarray | None) -> np.ndarray:
    """Distance from each of the places `of` to the nearest other image."""
    first = radii(training, 1, of=of)
    if partners is None or not (has := partners[of] >= 0).any():
        return first
    apart = np.full(len(of), np.inf)
    own, mirrored = (training[places[has]].astype(np.float64) for places in (of, partners[of]))
    apart[has] = np.linalg.norm(own - mirrored, axis=1)
    return np.where(apart <= first + _ROUNDING, radii(training, 2, of=of), first)


def copying(minted: np.ndarray, test: np.ndarray, training: np.ndarray, found: Neighbours) -> dict[str, Any]:
    """C_T (Meehan et al. 2020): z of a Mann-Whitney test, minted against test distances to the training set.

    Far below 0 (-3 and less): minted images lie nearer than new ones do, which is copying; far above: they lie farther off,
    which is underfitting. The test is made within cells of the training set (k-means), and averaged by the share of test
    images in them. Returns: copying, cells.
    """
    from scipy.cluster.vq import kmeans2
    from scipy.stats import rankdata

    cells = int(np.clip(len(training) // _IMAGES_PER_CELL, 1, _MOST_CELLS))
    if cells == 1:
        own, reference = np.zeros(len(minted), int), np.zeros(len(test), int)
    else:
        rng = np.random.default_rng(derive_seed("cells"))
        centres, _ = kmeans2(training.astype(np.float64), cells, minit="++", seed=rng)
        own, reference = nearest(minted, centres)[1], nearest(test, centres)[1]
    scores, weights = [], []
    for cell in range(cells):
        first, second = found.minted[own == cell], found.test[reference == cell]
        m, n = len(first), len(second)
        if min(m, n) < _LEAST_OF_A_CELL:
            continue
        ranks = rankdata(np.concatenate([first, second]))
        above = ranks[:m].sum() - m * (m + 1) / 2  # pairs in which the minted image lies farther off
        _, ties = np.unique(ranks, return_counts=True)
        variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
        scores.append((above - m * n / 2) / np.sqrt(variance) if variance > 0 else 0.0)
        weights.append(n)
    return {"copying": float(np.average(scores, weights=weights)) if scores else None, "cells": len(scores)}


def exact_copies(images: np.ndarray, training: Training) -> int:
    """How many images are, byte for byte, one that was shown. uint8 (N, C, S, S)."""
    known = training.digests
    return sum(digest in known for digest in digests(images))


def protocol(
    n: int, n_test: int, split: str, minted: int, training: int, cells: int, frozen: dict[str, Any]
) -> dict[str, Any]:
    """n, n_test: minted and test images whose neighbours were sought among `training` images, of all `minted`; split: of the test
    images; frozen: resize and network."""
    near = {"split": "synthetic", "n": n, "n_training": training, "reference": split, "n_reference": n_test, **frozen}
    own = near | {"reference": "train", "n_reference": training}
    return {
        "memorised": near | {"quantile": _NEAR_QUANTILE},
        "memorised_pixels": near | {"quantile": _NEAR_QUANTILE, "network": "none: pixels"},
        "exact_copies": own | {"n": minted, "network": "none: bytes"},
        "authentic": own,
        "authentic_test": own | {"split": split, "n": n_test},
        "copying": near | {"cells": cells},
    }


def pairs(found: Neighbours, rows: np.ndarray, training: Training, kept: np.ndarray) -> dict[str, list[list[float]]]:
    """Of the closest pairs, and of a few at random: place of a minted image, place of the training image nearest to it, distance, and
    1 where it is that one's mirror image, else 0.

    rows: of the minted images measured, within their set; kept: of the training images, within theirs.
    """
    order = np.argsort(found.minted, kind="stable")
    picks = {"closest": order[:_SHOWN], "typical": np.arange(len(order))[:_SHOWN]}

    def pair(at: int) -> list[float]:
        place, mirrored = training.origin(int(found.places[at]))
        return [int(rows[at]), int(kept[place]), float(found.minted[at]), int(mirrored)]

    return {name: [pair(at) for at in chosen] for name, chosen in picks.items()}
