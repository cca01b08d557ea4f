"""Exact nearest neighbours by Euclidean distance, computed in blocks so that memory stays bounded.

Distances are float64. A block holds the distances of 1,000 rows to as many others as fit into 64 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

CHUNK = 1000
_BLOCK_BYTES = 64 << 20


def nearest(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each query to its nearest point, and the index of that point.

    queries: (N, d). points: (M, d). Returns: float64 (N,), int64 (N,). Of equally near points the first
    counts.
    """
    distances, indices = np.full(len(queries), np.inf), np.empty(len(queries), np.int64)
    for rows, columns, block in blocks(queries, points):
        argmin = block.argmin(1)
        minimum = block[np.arange(len(block)), argmin]
        closer = minimum < distances[rows]
        indices[rows] = np.where(closer, columns.start + argmin, indices[rows])
        distances[rows] = np.minimum(minimum, distances[rows])
    return distances, indices


def kth_distances(points: np.ndarray, k: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Distance of each point to its k-th nearest neighbour among the other points.

    points: (N, d). rows: int64 (n,), indices of the points to measure; None measures all of them.
    Returns: float64 (N,) or (n,). Where there are fewer than k other points, the farthest counts.
    """
    k = min(k, len(points) - 1)
    queries = points if rows is None else points[rows]
    smallest = np.full((len(queries), k + 1), np.inf)  # of k + 1, since a point is its own nearest
    for within, _, block in blocks(queries, points):
        smallest[within] = np.partition(np.concatenate([smallest[within], block], 1), k, axis=1)[:, : k + 1]
    farthest: np.ndarray = smallest.max(1)
    return farthest


def classify(images: np.ndarray, training: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1-NN predictions: the label of the training image that is nearest in pixels.

    images, training: uint8 (N, C, S, S), (M, C, S, S). labels: (M,) or (M, A). Returns: labels, (N,) or (N,
    A). Distances are exact: squared distances of pixels are integers below 2^53.
    """
    found: np.ndarray = labels[nearest(flatten(images), flatten(training))[1]]
    return found


def flatten(images: np.ndarray) -> np.ndarray:
    """(N, C, S, S) -> (N, C * S * S)."""
    return images.reshape(len(images), -1)


def blocks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield (rows of `first`, rows of `second`, float64 distances between them)."""
    width = max(CHUNK, _BLOCK_BYTES // (8 * second.shape[1]))
    for start in range(0, len(second), width):
        columns = second[start : start + width].astype(np.float64)
        lengths = (columns**2).sum(1)
        for at in range(0, len(first), CHUNK):
            rows = first[at : at + CHUNK].astype(np.float64)
            squares = (rows**2).sum(1)[:, None] + lengths - 2 * rows @ columns.T
            yield slice(at, at + len(rows)), slice(start, start + len(columns)), np.sqrt(squares.clip(min=0))
