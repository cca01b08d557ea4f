"""Fréchet distance between two sets of images, in the features of a network.

Arrays are (N, d). Moments are float64, summed over a thousand rows at a time: no set is copied as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmint.metrics.inputs import Comparison, ImageSet, Setup
from labelmint.metrics.linear_algebra import eigh, gram, singular_values
from labelmint.metrics.registry import Metric, Values, compares_images

if TYPE_CHECKING:
    import torch

MIN_ROWS_PER_FEATURE = 2
"""Rows needed for a covariance that is worth fitting; with fewer, the distance is mostly bias."""
_CHUNK = 1000
_EXTRAPOLATION_SIZES = 15


def _intra_class_protocol(setup: Setup) -> str:
    return (
        "mean over classes of the distance within each, as many real as synthetic images of a class; classes "
        f"of fewer than {MIN_ROWS_PER_FEATURE} images a feature ({MIN_ROWS_PER_FEATURE * setup.features}) on "
        "any side are left out, and where all are, it is empty"
    )


@compares_images(
    Metric(
        "frechet_classifier",
        "lower",
        lambda setup: (
            f"each source against the {setup.n_test} test images, as many real as synthetic ones (n, the "
            "fewer of both), since it falls with n: the real row of an arm is its ceiling, and arms with "
            "other n are not comparable; mixed has none of its own"
        ),
        title="Fréchet",
        protocol_columns={"n_frechet": "n"},
    ),
    Metric(
        "frechet_infinity",
        "lower",
        "the same, extrapolated to infinitely many images by a line in 1/N through 15 sizes (Chong and "
        "Forsyth 2020); empty below 4 images a feature",
        title="Fréchet ∞",
    ),
    Metric("frechet_intra_class", "lower", _intra_class_protocol, title="within classes"),
)
def frechet_classifier(comparison: Comparison) -> dict[str, Values]:
    """Distances of each source to the test images; also `frechet_per_class` where there are classes."""
    reference = Gaussian.of(comparison.test.features, comparison.device)
    return {
        source: _distances(images, reference, comparison) for source, images in comparison.sources.items()
    }


def _distances(images: ImageSet, reference: Gaussian, comparison: Comparison) -> Values:
    n, device = comparison.size, comparison.device
    how = comparison.how(images.split, n)
    values = {
        "frechet_classifier": frechet(images.features[:n], reference, device),
        "frechet_infinity": frechet_infinity(images.features[:n], reference, device),
        "measured": {
            "frechet_classifier": how,
            "frechet_infinity": how | {"sizes": extrapolation_sizes(n, comparison.dimensions)},
        },
    }
    if comparison.has_classes:
        per_class = _distances_per_class(images, comparison)
        values["measured"] |= per_class.pop("measured")
        values |= per_class
    return values


def _distances_per_class(images: ImageSet, comparison: Comparison) -> Values:
    """Distances within each class; None for a class with too few images to fit a covariance."""
    minimum = MIN_ROWS_PER_FEATURE * comparison.dimensions
    counts, references = comparison.class_sizes, comparison.test.per_class(comparison.classes)
    values = [
        frechet(images.features_of(label)[:count], comparison.test.features_of(label), comparison.device)
        if min(count, n_reference) >= minimum
        else None
        for label, (count, n_reference) in enumerate(zip(counts, references))
    ]
    used = [label for label, value in enumerate(values) if value is not None]
    how = comparison.how(images.split, counts.tolist(), references.tolist()) | {"least": minimum}
    totals: dict[str, Any] = {"n": int(counts[used].sum()), "n_reference": int(references[used].sum())}
    totals["classes"] = len(used)
    if left_out := comparison.classes - len(used):
        totals["absent"] = f"classes of fewer than {minimum} images: {left_out}"
    return {
        "frechet_intra_class": float(np.mean([values[label] for label in used])) if used else None,
        "frechet_per_class": values,
        "measured": {"frechet_per_class": how, "frechet_intra_class": how | totals},
    }


class _Moments:
    """Sums of points and of their products, to which more points can be added."""

    def __init__(self, points: np.ndarray, device: torch.device | str):
        self.device = device
        # Sums about a point of the set: about 0, a mean far from 0 would cost the covariance its digits.
        self.origin = points[:_CHUNK].mean(0, dtype=np.float64)
        self.count, self.sums, self.products = 0, np.zeros(len(self.origin)), np.zeros(2 * self.origin.shape)
        self.add(points)

    def add(self, points: np.ndarray) -> None:
        for at in range(0, len(points), _CHUNK):
            part = points[at : at + _CHUNK] - self.origin
            self.sums += part.sum(0)
            self.products += gram(part, self.device)
        self.count += len(points)

    def gaussian(self) -> Gaussian:
        shift = self.sums / self.count
        covariance = (self.products - self.count * np.outer(shift, shift)) / (self.count - 1)
        return Gaussian(self.origin + shift, _root(covariance, self.device), self.device)


@dataclass(frozen=True)
class Gaussian:
    """Mean, (d,), and root of the covariance, (d, d), both float64. device: where distances are computed."""

    mean: np.ndarray
    root: np.ndarray
    device: torch.device | str = "cpu"

    @classmethod
    def of(cls, points: np.ndarray, device: torch.device | str = "cpu") -> Gaussian:
        return _Moments(points, device).gaussian()

    def distance(self, other: Gaussian) -> float:
        """Fréchet distance (Dowson and Landau 1982): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

        The trace of the root is the sum of the singular values of R1 R2 with Ci = Ri Ri. They are real and
        not negative, so no complex matrix root is needed.
        """
        difference = self.mean - other.mean
        cross = singular_values(self.root @ other.root, self.device).sum()
        traces = (self.root * self.root).sum() + (other.root * other.root).sum()
        return max(0.0, float(difference @ difference + traces - 2 * cross))


def frechet(first: np.ndarray, second: np.ndarray | Gaussian, device: torch.device | str = "cpu") -> float:
    """Fréchet distance between Gaussians fitted to both sets (Heusel et al. 2017).

    second: (M, d), or the Gaussian fitted to it.
    """
    return Gaussian.of(first, device).distance(_fitted(second, device))


def extrapolation_sizes(count: int, features: int) -> list[int]:
    """Sizes of the 15 samples of `frechet_infinity`; none where `count` points are too few."""
    first = max(count // 5, MIN_ROWS_PER_FEATURE * features)
    return (
        [] if 2 * first > count else [int(size) for size in np.linspace(first, count, _EXTRAPOLATION_SIZES)]
    )


def frechet_infinity(
    points: np.ndarray, reference: np.ndarray | Gaussian, device: torch.device | str = "cpu"
) -> float | None:
    """Fréchet distance to `reference` that infinitely many points would have (Chong and Forsyth 2020).

    The distance is linear in 1/N: a line through its values at 15 sizes is extrapolated to 1/N = 0.
    Points should be in random order. The smallest size is a fifth of them, and at least two points a feature;
    None where even that is more than half of them. The bias of the reference's own size remains, and the
    value may be below 0. reference: (M, d), or the Gaussian fitted to it.
    """
    sizes = extrapolation_sizes(*points.shape)
    if not sizes:
        return None
    fixed, moments = _fitted(reference, device), _Moments(points[: sizes[0]], device)
    values = [moments.gaussian().distance(fixed)]
    for begin, end in pairwise(sizes):
        moments.add(points[begin:end])
        values.append(moments.gaussian().distance(fixed))
    return float(np.polyfit(1 / np.array(sizes), values, 1)[1])


def _fitted(points: np.ndarray | Gaussian, device: torch.device | str) -> Gaussian:
    return points if isinstance(points, Gaussian) else Gaussian.of(points, device)


def _root(covariance: np.ndarray, device: torch.device | str) -> np.ndarray:
    values, vectors = eigh(covariance, device)
    root: np.ndarray = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
