"""Diversity within classes, by nearest neighbours: a generator with narrow modes repeats itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelmint.metrics.inputs import Comparison
from labelmint.metrics.nearest import kth_distances
from labelmint.metrics.registry import Metric, Values, compares_images

if TYPE_CHECKING:
    import torch

_MIN_PER_CLASS = 10


@compares_images(
    Metric(
        "diversity",
        "higher",
        "mean distance to the nearest other image of the class, over the same for as many real images; "
        "mean over classes",
    )
)
def diversity(comparison: Comparison) -> dict[str, Values]:
    """Diversity of the synthetic images and `diversity_per_class`; nothing where images have no classes."""
    if not comparison.has_classes:
        return {}
    sets = (comparison.sources[source] for source in ("synthetic", "real"))
    synthetic, real = ((each.features, each.labels) for each in sets)
    ratios, counts = per_class(
        synthetic, real, comparison.classes, comparison.params.points, comparison.device
    )
    known = [ratio for ratio in ratios if ratio is not None]
    total = sum(count for ratio, count in zip(ratios, counts) if ratio is not None)
    how = {
        "split": "synthetic",
        "n": counts,
        "reference": "train",
        "n_reference": counts,
        **comparison.feature_protocol,
        "least": _MIN_PER_CLASS,
    }
    return {
        "synthetic": {
            "diversity_per_class": ratios,
            "diversity": float(np.mean(known)) if known else None,
            "measured": {"diversity_per_class": how, "diversity": how | {"n": total, "n_reference": total}},
        }
    }


def per_class(
    synthetic: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray],
    classes: int,
    max_points: int,
    device: torch.device | str = "cpu",
) -> tuple[list[float | None], list[int]]:
    """Mean distance to the nearest other image of the class, synthetic over real; and images of each side.

    synthetic, real: features (N, d) and int64 labels (N,), in random order. 1: as diverse as real images; 0:
    all equal; None: too few images. Both sides have the same number, at most `max_points` over all classes,
    since nearest neighbours are nearer among more points.
    """
    ratios: list[float | None] = []
    counts: list[int] = []
    for label in range(classes):
        own, reference = (features[labels == label] for features, labels in (synthetic, real))
        count = min(len(own), len(reference), max(_MIN_PER_CLASS, max_points // classes))
        counts.append(count)
        if count < _MIN_PER_CLASS:
            ratios.append(None)
            continue
        spacing, own_spacing = (
            kth_distances(features[:count], 1, device=device).mean() for features in (reference, own)
        )
        ratios.append(float(own_spacing / spacing) if spacing > 0 else None)
    return ratios, counts
