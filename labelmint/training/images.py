"""Training images by row: resident on the device as uint8 if they fit, else read batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from labelmint.data.storage.tensors import ImageFile
from labelmint.training.engine.step_inputs import StepInput

_ROWS_PER_READ = 4096


@dataclass(frozen=True)
class FileImages:
    """Rows of an images.npy. Pickling it copies the path only."""

    path: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, S, S)."""
        with ImageFile(self.path) as file:
            return cast(tuple[int, int, int], file.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        with ImageFile(self.path) as file:
            return file[rows]

    def reader(self, rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from indices among `rows` to their images."""
        file = ImageFile(self.path)
        return lambda indices: file[rows[indices]]


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory, uint8 (N, C, S, S)."""

    images: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, S, S)."""
        return cast(tuple[int, int, int], self.images.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.images[rows])

    def reader(self, rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from indices among `rows` to their images."""
        return lambda indices: self.images[rows[indices]]


Images = FileImages | ArrayImages


class BatchReader:
    """The images of one replica on its device, batch by batch.

    rows: int64 (n,), the replica's images. order: indices among them by step, int64 (N,). resident: keep all
    on the device. Otherwise each batch is read from memory or disk, on a GPU by a thread one batch ahead.
    """

    def __init__(
        self,
        images: Images,
        rows: np.ndarray,
        order: Callable[[int], np.ndarray],
        device: torch.device,
        *,
        resident: bool,
    ):
        self.order = order
        count = len(order(0))
        self.indices = StepInput((count,), torch.int64, device)
        self._resident = _to_device(images, rows, device) if resident else None
        self._read = images.reader(rows)
        self._batch = StepInput((0 if resident else count, *images.shape), torch.uint8, device)
        self._thread = ThreadPoolExecutor(1) if device.type == "cuda" and not resident else None
        self._ahead: tuple[int, Future[np.ndarray]] | None = None

    def prepare(self, step: int) -> None:
        """Host: choose the images of `step`, and send them unless all are on the device."""
        self.indices.write(self.order(step))
        if self._resident is None:
            self._batch.write(self._take(step))

    def _take(self, step: int) -> np.ndarray:
        if self._thread is None:
            return self._read(self.order(step))
        ready = self._ahead[1].result() if self._ahead and self._ahead[0] == step else None
        self._ahead = step + 1, self._thread.submit(lambda: self._read(self.order(step + 1)))
        return self._read(self.order(step)) if ready is None else ready

    def read(self) -> torch.Tensor:
        """Device: the images of the step, uint8 (N, C, S, S)."""
        if self._resident is not None:
            return self._resident[self.indices.values]
        return self._batch.values

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def _to_device(images: Images, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    """Images of `rows` on the device, uint8 (n, C, S, S), copied in pieces."""
    resident = torch.empty(len(rows), *images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(rows), _ROWS_PER_READ):
        piece = rows[start : start + _ROWS_PER_READ]
        resident[start : start + len(piece)] = torch.from_numpy(images.take(piece))
    return resident


def digest(images: Images, rows: np.ndarray) -> str:
    """SHA-256 of the pixels of `rows`, read in pieces."""
    total = hashlib.sha256(str((len(rows), images.shape)).encode())
    for start in range(0, len(rows), _ROWS_PER_READ):
        total.update(images.take(rows[start : start + _ROWS_PER_READ]).data)
    return total.hexdigest()


class Sampler:
    """An endless sequence of shuffled passes over `available` images.

    Batches depend on the step number only.
    """

    def __init__(self, available: int, batch_size: int, seed: int):
        self.available, self.batch_size, self.seed = available, batch_size, seed
        self._passes: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        """Indices of the batch of `step`, int64 (batch_size,). A batch may span several passes."""
        first = step * self.batch_size
        numbers = range(first // self.available, (first + self.batch_size - 1) // self.available + 1)
        self._passes = {number: self._pass(number) for number in numbers}
        parts = []
        for number, order in self._passes.items():
            start = number * self.available
            parts.append(order[max(first - start, 0) : first + self.batch_size - start])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _pass(self, number: int) -> np.ndarray:
        if number in self._passes:
            return self._passes[number]
        return np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(self.available)
