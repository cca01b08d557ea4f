"""A linear support vector machine whose training images need not fit into memory.

One against the rest, squared hinge loss, as liblinear's (Fan et al. 2008): |w|^2 / 2 + C sum max(0, 1 - y w.x)^2, the constant 1
being a feature like the others. Minimised by L-BFGS over all images; features are read and scaled a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_CHUNK_BYTES = 16 << 20
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Table:
    """Features on disk or in memory, (N, d) of any float type, and the rows of it that are meant.

    Each feature is seen with mean 0 and deviation 1 over the rows that `mean` and `deviation` were taken of, over sqrt(d), so
    that an image is about 1 long and one range of C serves all d.
    """

    values: np.ndarray
    rows: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, rows: np.ndarray) -> Table:
        """Scaled by those very rows."""
        total, squares = np.zeros((2, values.shape[1]))
        for at in range(0, len(rows), size := rows_per_chunk(values.shape[1])):
            part = values[rows[at : at + size]].astype(np.float64)
            total += part.sum(0)
            squares += (part**2).sum(0)
        mean = total / len(rows)
        deviation = np.sqrt((squares / len(rows) - mean**2).clip(min=0))
        deviation[deviation < 1e-6 * max(1.0, float(deviation.max()))] = np.inf  # what never changes tells nothing
        return cls(values, rows, mean.astype(np.float32), deviation.astype(np.float32))

    def others(self, values: np.ndarray, rows: np.ndarray) -> Table:
        """Other images, scaled as these."""
        return Table(values, rows, self.mean, self.deviation)

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (places within rows, float32 (n, d + 1)): scaled features, and 1."""
        width = self.values.shape[1]
        for at in range(0, len(self.rows), size := rows_per_chunk(width)):
            part = self.values[self.rows[at : at + size]].astype(np.float32)
            scaled = np.ones((len(part), width + 1), np.float32)
            part -= self.mean
            np.divide(part, self.deviation * np.sqrt(width, dtype=np.float32), out=scaled[:, :-1])
            yield slice(at, at + len(part)), scaled


def rows_per_chunk(width: int) -> int:
    return max(1, _CHUNK_BYTES // (4 * width))


def fit(table: Table, labels: np.ndarray, classes: int, c: float, iterations: int = 1000) -> tuple[np.ndarray, bool]:
    """labels: int64 (N,), of table.rows. Returns: weights, float32 (classes, d + 1); whether they are a minimum.

    That is as L-BFGS has it, or, since in float32 its line search may find no lower value close to one, as liblinear has it for ten
    classes: the gradient is 0.001 times as long as it was at first.
    """
    from scipy.optimize import minimize

    shape = (classes, table.values.shape[1] + 1)
    signs = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0).astype(np.float32)

    lengths: list[float] = []  # of the gradient, at each step

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape).astype(np.float32)
        loss, gradient = 0.5 * float(flat @ flat), flat.copy().reshape(shape)
        for places, features in table.chunks():
            missing = (1 - signs[places] * (features @ weights.T)).clip(min=0)
            loss += c * float((missing.astype(np.float64) ** 2).sum())
            gradient += (-2 * c) * ((signs[places] * missing).T @ features)
        lengths.append(float(np.linalg.norm(gradient)))
        return loss, gradient.ravel()

    found = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    return found.x.reshape(shape).astype(np.float32), bool(
        found.success or np.linalg.norm(found.jac) <= _TOLERANCE * lengths[0]
    )


def classify(table: Table, weights: np.ndarray) -> np.ndarray:
    """int64 (N,): the class of the largest value."""
    told = np.empty(len(table.rows), np.int64)
    for places, features in table.chunks():
        told[places] = (features @ weights.T).argmax(1)
    return told
