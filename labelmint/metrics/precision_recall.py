"""Precision, recall, density and coverage: whether images lie within the neighbourhoods of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelmint.metrics.inputs import Comparison, Setup
from labelmint.metrics.nearest import count_within, kth_distances
from labelmint.metrics.registry import Metric, Values, compares_images

if TYPE_CHECKING:
    import torch

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
        found = neighbourhoods(comparison.test.features[:few], images.features[:few], k, comparison.device)
        values[source] = {**found, "measured": dict.fromkeys(_NAMES, how)}
    return values


def neighbourhoods(
    real: np.ndarray, synthetic: np.ndarray, k: int = 5, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    real, synthetic: (N, d), (M, d); they should have the same size. k: a point's neighbourhood reaches to its
    k-th nearest neighbour.
    """
    real_radii, synthetic_radii = (kth_distances(points, k, device=device) for points in (real, synthetic))
    around_synthetic, within_real = count_within(real, real_radii, synthetic, device)
    around_real, _ = count_within(synthetic, synthetic_radii, real, device)
    return {
        "precision": float((around_synthetic > 0).mean()),
        "recall": float((around_real > 0).mean()),
        "density": float(around_synthetic.mean() / k),
        "coverage": float((within_real > 0).mean()),
    }
