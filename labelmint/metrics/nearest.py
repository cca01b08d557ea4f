"""Exact nearest neighbours by Euclidean distance, in bounded memory.

Float32 matrix products on the device select the points that may be nearest (distance_bounds.py). These few
are compared by float64 sums of squared differences, so that neighbours and distances are the same on every
device, and equal points have distance 0. Distances of uint8 pixels are exact up to the root: their squares
are integers below 2^53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelmint.metrics.distance_bounds import candidates, containment

if TYPE_CHECKING:
    import torch

_PAIR_BYTES = 32 << 20
"""Bytes of the float64 differences that are held at once."""


def nearest(
    queries: np.ndarray, points: np.ndarray, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each query to its nearest point, and the index of that point.

    queries: (N, d). points: (M, d), at least one. Returns: float64 (N,), int64 (N,). Of equally near points
    the first counts. Raises: ValueError where a value is not finite.
    """
    distances, indices = np.empty(len(queries)), np.empty(len(queries), np.int64)
    for found in candidates(queries, points, 1, device):
        values = pair_distances(queries, found.queries, points, found.points)
        order = np.lexsort((found.points, values, found.queries))
        rows, first = np.unique(found.queries[order], return_index=True)
        distances[rows], indices[rows] = values[order][first], found.points[order][first]
    return distances, indices


def kth_distances(
    points: np.ndarray, k: int, rows: np.ndarray | None = None, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Distance of each point to its k-th nearest neighbour among the other points.

    points: (N, d). rows: int64 (n,), indices of the points to measure; None measures all of them.
    Returns: float64 (N,) or (n,). Where there are fewer than k other points, the farthest counts.
    Raises: ValueError where a value is not finite.
    """
    count = min(k, len(points) - 1) + 1  # a point is its own nearest
    queries = points if rows is None else points[rows]
    distances = np.empty(len(queries))
    for found in candidates(queries, points, count, device):
        values = pair_distances(queries, found.queries, points, found.points)
        order = np.lexsort((values, found.queries))
        measured, start = np.unique(found.queries[order], return_index=True)
        reached = np.cumsum(found.counts[order])  # points up to each candidate, over all queries
        before = reached[start] - found.counts[order][start]
        distances[measured] = values[order][np.searchsorted(reached, before + count)]
    return distances


def count_within(
    centres: np.ndarray, radii: np.ndarray, points: np.ndarray, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """How many balls contain each point, and how many points each ball contains.

    centres: (N, d). radii: float64 (N,). points: (M, d). A ball contains the points at a distance of at most
    its radius. Returns: int64 (M,), int64 (N,). Raises: ValueError where a value is not finite.
    """
    found = containment(centres, radii, points, device)
    distances = pair_distances(centres, found.open_balls, points, found.open_points)
    inside = distances <= radii[found.open_balls]
    of_points = found.points + np.bincount(found.open_points[inside], minlength=len(points))
    of_balls = found.balls + np.bincount(found.open_balls[inside], minlength=len(centres))
    return of_points, of_balls


def classify(
    images: np.ndarray, training: np.ndarray, labels: np.ndarray, device: torch.device | str = "cpu"
) -> np.ndarray:
    """1-NN predictions: the label of the training image that is nearest in pixels.

    images, training: uint8 (N, C, S, S), (M, C, S, S). labels: (M,) or (M, A). Returns: labels, (N,) or (N,
    A).
    """
    found: np.ndarray = labels[nearest(flatten(images), flatten(training), device)[1]]
    return found


def flatten(images: np.ndarray) -> np.ndarray:
    """(N, C, S, S) -> (N, C * S * S)."""
    return images.reshape(len(images), -1)


def pair_distances(first: np.ndarray, rows: np.ndarray, second: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance from first[rows[i]] to second[others[i]], float64 (P,), from differences in float64.

    first, second: (N, d), (M, d). rows, others: int64 (P,).
    """
    distances = np.empty(len(rows))
    size = max(1, _PAIR_BYTES // (8 * first.shape[1]))
    for at in range(0, len(rows), size):
        part = slice(at, at + size)
        difference = np.subtract(first[rows[part]], second[others[part]], dtype=np.float64)
        distances[part] = np.sqrt(np.square(difference, out=difference).sum(1))
    return distances
