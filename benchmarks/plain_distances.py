"""The searches and kernels of the metrics without their shortcuts: what benchmarks/evaluate.py compares with.

All pairs of distances are float64 matrix products, each block of queries and points is cast anew, features
are computed in whole batches, and the kernel distance uses one core and does not keep the test images' term.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.nn import functional as F

from labelmint.classifiers import feature_network, small_networks
from labelmint.metrics import diversity, kid, memorization, precision_recall, training_images

_ROWS = 1000
_BLOCK_BYTES = 64 << 20
_EVERY_IMAGE = 1 << 40


def blocks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield (rows of `first`, rows of `second`, float64 distances between them)."""
    width = max(_ROWS, _BLOCK_BYTES // (8 * second.shape[1]))
    for start in range(0, len(second), width):
        columns = second[start : start + width].astype(np.float64)
        lengths = (columns**2).sum(1)
        for at in range(0, len(first), _ROWS):
            rows = first[at : at + _ROWS].astype(np.float64)
            squares = (rows**2).sum(1)[:, None] + lengths - 2 * rows @ columns.T
            yield slice(at, at + len(rows)), slice(start, start + len(columns)), np.sqrt(squares.clip(min=0))


def nearest(queries: np.ndarray, points: np.ndarray, device: object = None) -> tuple[np.ndarray, np.ndarray]:
    """As labelmint.metrics.nearest.nearest."""
    distances, indices = np.full(len(queries), np.inf), np.empty(len(queries), np.int64)
    for rows, columns, block in blocks(queries, points):
        argmin = block.argmin(1)
        minimum = block[np.arange(len(block)), argmin]
        closer = minimum < distances[rows]
        indices[rows] = np.where(closer, columns.start + argmin, indices[rows])
        distances[rows] = np.minimum(minimum, distances[rows])
    return distances, indices


def kth_distances(
    points: np.ndarray, k: int, rows: np.ndarray | None = None, device: object = None
) -> np.ndarray:
    """As labelmint.metrics.nearest.kth_distances."""
    k = min(k, len(points) - 1)
    queries = points if rows is None else points[rows]
    smallest = np.full((len(queries), k + 1), np.inf)
    for within, _, block in blocks(queries, points):
        smallest[within] = np.partition(np.concatenate([smallest[within], block], 1), k, axis=1)[:, : k + 1]
    farthest: np.ndarray = smallest.max(1)
    return farthest


def count_within(
    centres: np.ndarray, radii: np.ndarray, points: np.ndarray, device: object = None
) -> tuple[np.ndarray, np.ndarray]:
    """As labelmint.metrics.nearest.count_within."""
    of_points, of_balls = np.zeros(len(points), np.int64), np.zeros(len(centres), np.int64)
    for rows, columns, distances in blocks(centres, points):
        inside = distances <= radii[rows, None]
        of_points[columns] += inside.sum(0)
        of_balls[rows] += inside.sum(1)
    return of_points, of_balls


class Points:
    """As labelmint.metrics.kid.Points."""

    def __init__(self, points: np.ndarray, device: object = None):
        self.values = points.astype(np.float64)

    def distance(self, other: Points) -> float:
        between = _kernels(self.values, other.values) / (len(self.values) * len(other.values))
        return self.mean_within + other.mean_within - 2 * between

    @property
    def mean_within(self) -> float:
        values = self.values
        own = float((((values * values).sum(1) / values.shape[1] + 1) ** 3).sum())
        return (_kernels(values, values) - own) / (len(values) * (len(values) - 1))


def _kernels(left: np.ndarray, right: np.ndarray) -> float:
    parts = (left[at : at + _ROWS] for at in range(0, len(left), _ROWS))
    return float(sum(((part @ right.T / left.shape[1] + 1) ** 3).sum() for part in parts))


def _max_pool(maps: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(maps, 2)


@contextmanager
def plain() -> Iterator[None]:
    """Let the metrics use the functions above."""
    replaced: list[tuple[object, str, Any]] = [
        (memorization, "nearest", nearest),
        (training_images, "nearest", nearest),
        (memorization, "kth_distances", kth_distances),
        (diversity, "kth_distances", kth_distances),
        (precision_recall, "kth_distances", kth_distances),
        (precision_recall, "count_within", count_within),
        (kid, "Points", Points),
        (small_networks, "max_pool", _max_pool),
        (feature_network, "_CPU_PIXELS", _EVERY_IMAGE),
    ]
    with ExitStack() as stack:
        for module, name, value in replaced:
            stack.enter_context(patch.object(module, name, value))
        yield
