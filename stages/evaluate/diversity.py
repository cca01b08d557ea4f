"""How far the images of a class lie apart, by nearest neighbours: a generator with narrow modes repeats itself."""

from __future__ import annotations

import numpy as np

from stages.evaluate.distances import radii
from stages.prepare.splits import derive_seed

_LEAST = 10


def per_class(
    minted: tuple[np.ndarray, np.ndarray], real: tuple[np.ndarray, np.ndarray], classes: int, most: int
) -> list[float | None]:
    """Mean distance of minted images to the nearest other of their class, over the same of real images.

    minted, real: features (N, d) and int64 labels. 1: as far apart as real ones; 0: all alike. As many of both, and at most `most`
    in all, since the more points the nearer the nearest. None of a class with too few.
    """
    ratios: list[float | None] = []
    for label in range(classes):
        own, reference = (_draw(features[labels == label], label) for features, labels in (minted, real))
        count = min(len(own), len(reference), max(_LEAST, most // classes))
        if count < _LEAST:
            ratios.append(None)
            continue
        apart = radii(reference[:count], 1).mean()
        ratios.append(float(radii(own[:count], 1).mean() / apart) if apart > 0 else None)
    return ratios


def _draw(points: np.ndarray, label: int) -> np.ndarray:
    return points[np.random.default_rng(derive_seed("diversity", label)).permutation(len(points))]
