"""How far the images of a class lie apart, by nearest neighbours: a generator with narrow modes repeats itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from labelmint.metrics.distances import radii

_LEAST = 10


def per_class(
    minted: tuple[np.ndarray, np.ndarray], real: tuple[np.ndarray, np.ndarray], classes: int, most: int
) -> tuple[list[float | None], list[int]]:
    """Mean distance of minted images to the nearest other of their class, over the same of real images; and of how many of either.

    minted, real: features (N, d) and int64 labels, in random order. 1: as far apart as real ones; 0: all alike. As many of both, and
    at most `most` in all, since the more points the nearer the nearest. None of a class with too few.
    """
    ratios: list[float | None] = []
    counts: list[int] = []
    for label in range(classes):
        own, reference = (features[labels == label] for features, labels in (minted, real))
        counts.append(min(len(own), len(reference), max(_LEAST, most // classes)))
        if counts[-1] < _LEAST:
            ratios.append(None)
            continue
        apart = radii(reference[: counts[-1]], 1).mean()
        ratios.append(float(radii(own[: counts[-1]], 1).mean() / apart) if apart > 0 else None)
    return ratios, counts


def protocol(ratios: list[float | None], counts: list[int], frozen: dict[str, Any]) -> dict[str, Any]:
    """ratios, counts: of per_class. frozen: resize and network."""
    each = {"split": "synthetic", "n": counts, "reference": "train", "n_reference": counts, **frozen, "least": _LEAST}
    total = sum(count for ratio, count in zip(ratios, counts) if ratio is not None)
    return {"diversity_per_class": each, "diversity": each | {"n": total, "n_reference": total}}
