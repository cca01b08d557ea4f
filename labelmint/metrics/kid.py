"""Kernel distance (KID) between two sets of images, in the features of a network."""

from __future__ import annotations

import numpy as np

from labelmint.metrics.inputs import Comparison, ImageSet
from labelmint.metrics.registry import Metric, Values, compares_images

_CHUNK = 1000
_MIN_PER_CLASS = 10


@compares_images(
    Metric(
        "kid",
        "lower",
        lambda setup: (
            "unbiased, cubic kernel, all pairs of as many points of each side, at most "
            f"{setup.params.points}, drawn by a hash of their content"
        ),
        title="KID",
        protocol_columns={"n_points": "n", "feature_network": "network"},
    )
)
def kid(comparison: Comparison) -> dict[str, Values]:
    """Kernel distance of each source to the test images; also `kid_per_class` where there are classes."""
    few = comparison.paired_size
    values: dict[str, Values] = {}
    for source, images in comparison.sources.items():
        distance = kernel_distance(images.features[:few], comparison.test.features[:few])
        values[source] = {"kid": distance, "measured": {"kid": comparison.how(images.split, few, few)}}
        if comparison.has_classes:
            distances, counts = _per_class(images, comparison)
            values[source]["kid_per_class"] = distances
            how = comparison.how(images.split, 0) | {
                "n": counts,
                "n_reference": counts,
                "least": _MIN_PER_CLASS,
            }
            values[source]["measured"]["kid_per_class"] = how
    return values


def _per_class(images: ImageSet, comparison: Comparison) -> tuple[list[float | None], list[int]]:
    """(distance within each class, None where it has too few images; images of each side)."""
    references = comparison.test.per_class(comparison.classes)
    counts = [int(min(comparison.params.points, *sizes)) for sizes in zip(comparison.class_sizes, references)]
    distances = [
        kernel_distance(images.features_of(label)[:count], comparison.test.features_of(label)[:count])
        if count >= _MIN_PER_CLASS
        else None
        for label, count in enumerate(counts)
    ]
    return distances, counts


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy over all pairs, kernel (x.y / d + 1)^3.

    Source: Bińkowski et al. 2018. first, second: (N, d), (M, d). It may be below 0 where both sets are alike.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)

    def mean(left: np.ndarray, right: np.ndarray, same: bool) -> float:
        total = sum((_kernel(left[at : at + _CHUNK], right)).sum() for at in range(0, len(left), _CHUNK))
        if not same:
            return float(total / (len(left) * len(right)))
        total -= (((left * left).sum(1) / left.shape[1] + 1) ** 3).sum()
        return float(total / (len(left) * (len(left) - 1)))

    return float(mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False))


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    kernel: np.ndarray = (left @ right.T / left.shape[1] + 1) ** 3
    return kernel
