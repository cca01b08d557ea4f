"""A linear support vector machine whose training images need not fit into memory.

One against the rest with the squared hinge loss, as liblinear (Fan et al. 2008): |w|^2 / 2 + C sum max(0, 1 -
y w.x)^2, where the constant 1 is a feature like the others. It is minimised by L-BFGS over all images;
features are read and scaled in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_CHUNK_BYTES = 16 << 20
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Table:
    """Some rows of features, (N, d) of any float type, on disk or in memory; and how they are scaled.

    Each feature is scaled to mean 0 and deviation 1 over the rows that `mean` and `deviation` were computed
    from, then divided by sqrt(d): an image is about 1 long, and one range of C serves all d.
    """

    values: np.ndarray
    rows: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, rows: np.ndarray) -> Table:
        """Table that is scaled by its own rows."""
        total, squares = np.zeros((2, values.shape[1]))
        for at in range(0, len(rows), size := rows_per_chunk(values.shape[1])):
            part = values[rows[at : at + size]].astype(np.float64)
            total += part.sum(0)
            squares += (part**2).sum(0)
        mean = total / len(rows)
        deviation = np.sqrt((squares / len(rows) - mean**2).clip(min=0))
        deviation[deviation < 1e-6 * max(1.0, float(deviation.max()))] = (
            np.inf
        )  # a constant feature becomes 0
        return cls(values, rows, mean.astype(np.float32), deviation.astype(np.float32))

    def scaled_alike(self, values: np.ndarray, rows: np.ndarray) -> Table:
        """Other images, scaled by the mean and deviation of this table."""
        return Table(values, rows, self.mean, self.deviation)

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (slice of `rows`, float32 (n, d + 1)): scaled features, and 1."""
        width = self.values.shape[1]
        for at in range(0, len(self.rows), size := rows_per_chunk(width)):
            part = self.values[self.rows[at : at + size]].astype(np.float32)
            scaled = np.ones((len(part), width + 1), np.float32)
            part -= self.mean
            np.divide(part, self.deviation * np.sqrt(width, dtype=np.float32), out=scaled[:, :-1])
            yield slice(at, at + len(part)), scaled


def rows_per_chunk(width: int) -> int:
    return max(1, _CHUNK_BYTES // (4 * width))


def fit(
    table: Table, labels: np.ndarray, classes: int, c: float, iterations: int = 1000
) -> tuple[np.ndarray, bool]:
    """(weights, float32 (classes, d + 1); whether they converged).

    labels: int64 (N,), of table.rows. In float32 the line search of L-BFGS may find no lower value close to
    the minimum, so liblinear's criterion for ten classes counts too: the gradient is 0.001 times as long as
    at first.
    """
    from scipy.optimize import minimize

    shape = (classes, table.values.shape[1] + 1)
    signs = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0).astype(np.float32)
    gradient_norms: list[float] = []

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape).astype(np.float32)
        loss, gradient = 0.5 * float(flat @ flat), flat.copy().reshape(shape)
        for rows, features in table.chunks():
            hinge = (1 - signs[rows] * (features @ weights.T)).clip(min=0)
            loss += c * float((hinge.astype(np.float64) ** 2).sum())
            gradient += (-2 * c) * ((signs[rows] * hinge).T @ features)
        gradient_norms.append(float(np.linalg.norm(gradient)))
        return loss, gradient.ravel()

    found = minimize(
        objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    converged = found.success or np.linalg.norm(found.jac) <= _TOLERANCE * gradient_norms[0]
    return found.x.reshape(shape).astype(np.float32), bool(converged)


def classify(table: Table, weights: np.ndarray) -> np.ndarray:
    """Predicted classes, those with the largest value: int64 (N,)."""
    predictions = np.empty(len(table.rows), np.int64)
    for rows, features in table.chunks():
        predictions[rows] = (features @ weights.T).argmax(1)
    return predictions
