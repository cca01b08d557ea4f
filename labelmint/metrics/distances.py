"""Distances between two sets of images, in the features of a frozen network.

All take arrays (N, d) and work in float64, a thousand rows at a time: never on a float64 copy of a whole set. Of pairs they hold
those of a thousand rows with as many more as 64 MiB hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_CHUNK = 1000
_CHUNK_BYTES = 64 << 20
_EXTRAPOLATION_SIZES = 15
LEAST_ROWS_PER_FEATURE = 2
"""Of a covariance that is worth fitting: with fewer the distance is mostly the bias of its size."""


class _Moments:
    """Sums of points and of their products, to which more points can be added."""

    def __init__(self, points: np.ndarray):
        # About a point among them: about 0 the digits of a mean far off would drown those of the covariance.
        self.origin = points[:_CHUNK].mean(0, dtype=np.float64)
        self.count, self.sums, self.products = 0, np.zeros(len(self.origin)), np.zeros(2 * self.origin.shape)
        self.add(points)

    def add(self, points: np.ndarray) -> None:
        for at in range(0, len(points), _CHUNK):
            part = points[at : at + _CHUNK] - self.origin
            self.sums += part.sum(0)
            self.products += part.T @ part
        self.count += len(points)

    def gaussian(self) -> Gaussian:
        shift = self.sums / self.count
        covariance = (self.products - self.count * np.outer(shift, shift)) / (self.count - 1)
        return Gaussian(self.origin + shift, _root(covariance))


@dataclass(frozen=True)
class Gaussian:
    """mean: (d,). root: (d, d), of the covariance."""

    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> Gaussian:
        return _Moments(points).gaussian()

    def distance(self, other: Gaussian) -> float:
        """Fréchet distance (Dowson and Landau 1982): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

        The trace of the root is the sum of the singular values of R1 R2 with Ci = Ri Ri, all of them real and not negative, so
        that no complex matrix root is needed.
        """
        difference = self.mean - other.mean
        cross = np.linalg.svd(self.root @ other.root, compute_uv=False).sum()
        traces = (self.root * self.root).sum() + (other.root * other.root).sum()
        return max(0.0, float(difference @ difference + traces - 2 * cross))


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to both sets (Heusel et al. 2017)."""
    return Gaussian.of(first).distance(Gaussian.of(second))


def extrapolation_sizes(count: int, features: int) -> list[int]:
    """The 15 sizes of `frechet_infinity`, none where `count` points are too few."""
    least = max(count // 5, LEAST_ROWS_PER_FEATURE * features)
    return [] if 2 * least > count else np.linspace(least, count, _EXTRAPOLATION_SIZES).astype(int).tolist()


def frechet_infinity(points: np.ndarray, reference: np.ndarray) -> float | None:
    """Fréchet distance to `reference` that infinitely many points would have (Chong and Forsyth 2020).

    It is linear in 1/N, so that a line through its values at 15 sizes is followed to 1/N = 0. Points should be in random order.
    None where they are too few: the smallest size is a fifth of them, and twice as many as there are features. The bias of
    the reference's own size remains, and the value may fall below 0.
    """
    sizes = extrapolation_sizes(*points.shape)
    if not sizes:
        return None
    fixed, moments = Gaussian.of(reference), _Moments(points[: sizes[0]])
    values = [moments.gaussian().distance(fixed)]
    for begin, end in pairwise(sizes):
        moments.add(points[begin:end])
        values.append(moments.gaussian().distance(fixed))
    return float(np.polyfit(1 / np.array(sizes), values, 1)[1])


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y / d + 1)^3, over all pairs (Bińkowski et al. 2018, KID).

    It may fall below 0 when both sets are alike.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)

    def mean(left: np.ndarray, right: np.ndarray, same: bool) -> float:
        total = sum((_kernel(left[at : at + _CHUNK], right)).sum() for at in range(0, len(left), _CHUNK))
        if not same:
            return total / (len(left) * len(right))
        total -= (((left * left).sum(1) / left.shape[1] + 1) ** 3).sum()
        return total / (len(left) * (len(left) - 1))

    return float(mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False))


def _kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left @ right.T / left.shape[1] + 1) ** 3


def neighbourhoods(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    k: neighbours whose distance makes a point's radius. Both sets should have the same size.
    """
    real_radii, fake_radii = (radii(part, k) for part in (real, fake))
    inside = np.zeros(len(fake), np.int64)  # how many real neighbourhoods hold each minted point
    reached, covered = np.zeros((2, len(real)), bool)
    for rows, columns, distances in _in_blocks(real, fake):
        within_real = distances <= real_radii[rows, None]
        inside[columns] += within_real.sum(0)
        reached[rows] |= (distances <= fake_radii[columns]).any(1)
        covered[rows] |= within_real.any(1)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(reached.mean()),
        "density": float(inside.mean() / k),
        "coverage": float(covered.mean()),
    }


def nearest(queries: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 (N,), int64 (N,): distance of each query to its nearest neighbour among `others`, and that one's place."""
    distances, places = np.full(len(queries), np.inf), np.empty(len(queries), np.int64)
    for rows, columns, part in _in_blocks(queries, others):
        which = part.argmin(1)
        least = part[np.arange(len(part)), which]
        closer = least < distances[rows]
        places[rows] = np.where(closer, columns.start + which, places[rows])
        distances[rows] = np.minimum(least, distances[rows])
    return distances, places


def radii(points: np.ndarray, k: int, of: np.ndarray | None = None) -> np.ndarray:
    """Distance to the k-th neighbour, itself not counted, of each point, or of the points at the places `of`."""
    k = min(k, len(points) - 1)
    asked = points if of is None else points[of]
    least = np.full((len(asked), k + 1), np.inf)
    for rows, _, part in _in_blocks(asked, points):
        least[rows] = np.partition(np.concatenate([least[rows], part], 1), k, axis=1)[:, : k + 1]
    return least.max(1)


def _in_blocks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """(rows of `first`, rows of `second`, their distances), a block at a time."""
    width = max(_CHUNK, _CHUNK_BYTES // (8 * second.shape[1]))
    for begin in range(0, len(second), width):
        others = second[begin : begin + width].astype(np.float64)
        lengths = (others**2).sum(1)
        for at in range(0, len(first), _CHUNK):
            part = first[at : at + _CHUNK].astype(np.float64)
            squares = (part**2).sum(1)[:, None] + lengths - 2 * part @ others.T
            yield slice(at, at + len(part)), slice(begin, begin + len(others)), np.sqrt(squares.clip(min=0))
