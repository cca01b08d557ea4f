"""Precision, recall, density and coverage: whether images lie within the neighbourhoods of others."""

from __future__ import annotations

import numpy as np

from labelmint.metrics.inputs import Comparison, Setup
from labelmint.metrics.nearest import blocks, kth_distances
from labelmint.metrics.registry import Metric, Values, compares_images

_NAMES = ("precision", "recall", "density", "coverage")


def _protocol(setup: Setup) -> str:
    k = setup.params.neighbours
    return f"k = {k}, the same points; the real row is what as many real images reach: the ceiling"


@compares_images(
    *(Metric(name, "higher", _protocol, protocol_name="precision_recall_density_coverage") for name in _NAMES)
)
def precision_recall(comparison: Comparison) -> dict[str, Values]:
    few, k = comparison.paired_size, comparison.params.neighbours
    values: dict[str, Values] = {}
    for source, images in comparison.sources.items():
        how = comparison.how(images.split, few, few) | {"k": k}
        found = neighbourhoods(comparison.test.features[:few], images.features[:few], k)
        values[source] = {**found, "measured": dict.fromkeys(_NAMES, how)}
    return values


def neighbourhoods(real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> dict[str, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    real, synthetic: (N, d), (M, d); they should have the same size. k: a point's neighbourhood reaches to its
    k-th nearest neighbour.
    """
    real_radii, synthetic_radii = (kth_distances(points, k) for points in (real, synthetic))
    inside = np.zeros(len(synthetic), np.int64)  # how many real neighbourhoods contain each synthetic point
    recalled, covered = np.zeros((2, len(real)), bool)
    for rows, columns, distances in blocks(real, synthetic):
        within_real = distances <= real_radii[rows, None]
        inside[columns] += within_real.sum(0)
        recalled[rows] |= (distances <= synthetic_radii[columns]).any(1)
        covered[rows] |= within_real.any(1)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(inside.mean() / k),
        "coverage": float(covered.mean()),
    }
