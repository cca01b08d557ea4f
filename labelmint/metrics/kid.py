"""Kernel distance (KID) between two sets of images, in the features of a network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmint.metrics.inputs import Comparison, ImageSet
from labelmint.metrics.linear_algebra import has_float64, to_device
from labelmint.metrics.registry import Metric, Values, compares_images
from labelmint.runtime.devices import available_cores

if TYPE_CHECKING:
    import torch

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
    reference = Points(comparison.test.features[:few], comparison.device)
    values: dict[str, Values] = {}
    for source, images in comparison.sources.items():
        distance = Points(images.features[:few], comparison.device).distance(reference)
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
        kernel_distance(
            images.features_of(label)[:count], comparison.test.features_of(label)[:count], comparison.device
        )
        if count >= _MIN_PER_CLASS
        else None
        for label, count in enumerate(counts)
    ]
    return distances, counts


def kernel_distance(first: np.ndarray, second: np.ndarray, device: torch.device | str = "cpu") -> float:
    """Unbiased squared maximum mean discrepancy over all pairs, kernel (x.y / d + 1)^3.

    Source: Bińkowski et al. 2018. first, second: (N, d), (M, d). It may be below 0 where both sets are alike.
    """
    return Points(first, device).distance(Points(second, device))


class Points:
    """Points, (N, d), in float64: on a CUDA device, else in NumPy."""

    def __init__(self, points: np.ndarray, device: torch.device | str = "cpu"):
        self.values: Any = to_device(points, device) if has_float64(device) else points.astype(np.float64)

    def distance(self, other: Points) -> float:
        """Squared maximum mean discrepancy."""
        pairs = len(self.values) * len(other.values)
        between = float(_total(self.values, other.values) / pairs)
        return float(self.mean_within + other.mean_within - 2 * between)

    @cached_property
    def mean_within(self) -> float:
        """Mean kernel of all pairs of different points."""
        values = self.values
        own = (((values * values).sum(1) / values.shape[1] + 1) ** 3).sum()
        return float((_total(values, values) - own) / (len(values) * (len(values) - 1)))


def _total(left: Any, right: Any) -> Any:
    """Sum of the kernels of all pairs."""
    total: Any = 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for at in range(0, len(left), _CHUNK):
            products = left[at : at + _CHUNK] @ right.T
            # NumPy's power takes one core, and most of the time.
            on_cpu = isinstance(products, np.ndarray)
            parts = np.array_split(products, available_cores()) if on_cpu else [products]
            list(pool.map(partial(_kernel_in_place, size=left.shape[1]), parts))
            total += products.sum()
    return total


def _kernel_in_place(products: Any, size: int) -> None:
    products /= size
    products += 1
    products **= 3
