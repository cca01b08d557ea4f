"""Distances between two sets of images, in the features of the frozen network.

All take float arrays (N, d) and work in float64.
"""

from __future__ import annotations

import numpy as np

_CHUNK = 1000


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to both sets (Heusel et al. 2017; Dowson and Landau 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). The trace of the root is the sum of the singular values of
    R1 R2 with Ci = Ri Ri, all of them real and not negative, so that no complex matrix root is needed.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    difference = first.mean(0) - second.mean(0)
    roots = [_root(np.atleast_2d(np.cov(part, rowvar=False))) for part in (first, second)]
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    traces = sum((root * root).sum() for root in roots)
    return max(0.0, float(difference @ difference + traces - 2 * cross))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y / d + 1)^3, over all pairs (Bińkowski et al. 2018, KID).

    It may fall below 0 when both sets are alike. Memory is bounded by chunks of rows.
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
    real_radii, fake_radii = (_radii(part, k) for part in (real, fake))
    between = _distances(real, fake)
    within_real = between <= real_radii[:, None]
    within_fake = between <= fake_radii[None, :]
    return {
        "precision": float(within_real.any(0).mean()),
        "recall": float(within_fake.any(1).mean()),
        "density": float(within_real.sum(0).mean() / k),
        "coverage": float((between.min(1) <= real_radii).mean()),
    }


def nearest_distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 (N,): distance of each query to its nearest neighbour among `others`, in bounded memory."""
    return np.concatenate(
        [_distances(queries[at : at + _CHUNK], others).min(1) for at in range(0, len(queries), _CHUNK)]
    )


def _radii(points: np.ndarray, k: int) -> np.ndarray:
    """Distance of each point to its k-th neighbour, itself not counted."""
    return np.partition(_distances(points, points), min(k, len(points) - 1), axis=1)[:, min(k, len(points) - 1)]


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.sqrt(squares.clip(min=0))
