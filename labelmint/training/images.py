"""Training images by row: resident on the device as uint8 if they fit, else read batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.settings import Compute

_ROWS_PER_READ = 4096
_CPU_RESIDENT_BYTES = 1 << 30


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


def resident_bytes(compute: Compute, device: torch.device) -> int:
    """Size up to which images are kept on the device."""
    if compute.resident_bytes != "auto":
        return compute.resident_bytes
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _CPU_RESIDENT_BYTES


def image_reader(
    images: Images, rows: np.ndarray, device: torch.device, resident_bytes: int
) -> Callable[[np.ndarray], torch.Tensor]:
    """A function from indices among `rows`, int64 (...), to images on the device, uint8 (..., C, S, S)."""
    if len(rows) * int(np.prod(images.shape)) <= resident_bytes:
        resident = torch.from_numpy(images.take(rows)).to(device)
        return lambda indices: resident[torch.from_numpy(indices).to(device, non_blocking=True)]
    shape, read = images.shape, images.reader(rows)
    return lambda indices: (
        torch.from_numpy(read(indices.ravel())).to(device, non_blocking=True).reshape(*indices.shape, *shape)
    )


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
        stream = np.concatenate([self._passes[number] for number in numbers])
        return stream[first % self.available :][: self.batch_size]

    def _pass(self, number: int) -> np.ndarray:
        if number in self._passes:
            return self._passes[number]
        return np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(self.available)
