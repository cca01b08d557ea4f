"""Are minted images new, or training images again?

Distances of minted images to the training images are compared with those of real test images, which are surely new.
All sets are float (N, d): features, or pixels laid flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.evaluate.content import digests
from stages.evaluate.distances import nearest, radii
from stages.prepare.splits import derive_seed

_NEAR_QUANTILE = 0.01
_SHOWN = 12
_IMAGES_PER_CELL, _MOST_CELLS, _LEAST_OF_A_CELL = 500, 10, 5


@dataclass(frozen=True)
class Neighbours:
    """Distances to the nearest training image, and the place of that one, of minted and of test images."""

    minted: np.ndarray
    places: np.ndarray
    test: np.ndarray
    test_places: np.ndarray


def neighbours(minted: np.ndarray, test: np.ndarray, training: np.ndarray) -> Neighbours:
    return Neighbours(*nearest(minted, training), *nearest(test, training))


def share_near(found: Neighbours) -> float:
    """Share of minted images nearer to a training image than 99 % of the test images are: 0.01 is what new images give."""
    return float((found.minted < np.quantile(found.test, _NEAR_QUANTILE)).mean())


def authenticity(found: Neighbours, training: np.ndarray) -> dict[str, float]:
    """AuthPct (Alaa et al. 2022): share of images farther from their nearest training image than that one is from its own.

    New real images do not reach 1, so that theirs stands beside it. Returns: authentic, authentic_test.
    """
    return {
        "authentic": _authentic(found.minted, found.places, training),
        "authentic_test": _authentic(found.test, found.test_places, training),
    }


def _authentic(distances: np.ndarray, places: np.ndarray, training: np.ndarray) -> float:
    hit, which = np.unique(places, return_inverse=True)
    return float((distances > radii(training, 1, of=hit)[which]).mean())


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


def exact_copies(images: np.ndarray, training: np.ndarray) -> int:
    """How many images are a training image byte for byte. uint8 (N, ...)."""
    known = set(digests(training))
    return sum(digest in known for digest in digests(images))


def protocol(n: int, n_test: int, minted: int, training: int, cells: int, frozen: dict[str, Any]) -> dict[str, Any]:
    """n, n_test: minted and test images whose neighbours were sought among `training` images, of all `minted`; frozen: resize and network."""
    near = {"split": "synthetic", "n": n, "n_training": training, "reference": "test", "n_reference": n_test, **frozen}
    own = near | {"reference": "train", "n_reference": training}
    return {
        "memorised": near | {"quantile": _NEAR_QUANTILE},
        "memorised_pixels": near | {"quantile": _NEAR_QUANTILE, "network": "none: pixels"},
        "exact_copies": own | {"n": minted, "network": "none: bytes"},
        "authentic": own,
        "authentic_test": own | {"split": "test", "n": n_test},
        "copying": near | {"cells": cells},
    }


def pairs(found: Neighbours, rows: np.ndarray, kept: np.ndarray) -> dict[str, list[list[float]]]:
    """[place of a minted image, place of the training image nearest to it, distance] of the closest, and of a few at random.

    rows: of the minted images measured, within their set; kept: of the training images, within theirs.
    """
    order = np.argsort(found.minted, kind="stable")
    picks = {"closest": order[:_SHOWN], "typical": np.arange(len(order))[:_SHOWN]}
    return {
        name: [[int(rows[at]), int(kept[found.places[at]]), float(found.minted[at])] for at in chosen]
        for name, chosen in picks.items()
    }
