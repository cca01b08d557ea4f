"""Training images by row: resident on the device as uint8 where they fit, else read from the file batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from labelmint.data.storage.tensors import ImageFile

_PIECE = 4096

Batch = Callable[[np.ndarray], torch.Tensor]
"""int64 places, of any shape -> uint8 (*shape, C, S, S) on the device."""


@dataclass(frozen=True)
class FileImages:
    """Rows of an images.npy. Only the path travels to another process."""

    path: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        with ImageFile(self.path) as file:
            return file.shape[1:]

    def take(self, rows: np.ndarray) -> np.ndarray:
        with ImageFile(self.path) as file:
            return file[rows]

    def streamed(self, rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        file = ImageFile(self.path)
        return lambda places: file[rows[places]]


@dataclass(frozen=True)
class ArrayImages:
    """images: uint8 (N, C, S, S), in memory."""

    images: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.images.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.images[rows])

    def streamed(self, rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda places: self.images[rows[places]]


Images = FileImages | ArrayImages


def batches(images: Images, rows: np.ndarray, device: torch.device, resident_bytes: int) -> Batch:
    """A function from places among `rows` to their images."""
    if len(rows) * int(np.prod(images.shape)) <= resident_bytes:
        resident = torch.from_numpy(images.take(rows)).to(device)
        return lambda places: resident[torch.from_numpy(places).to(device, non_blocking=True)]
    read = images.streamed(rows)
    return lambda places: (
        torch.from_numpy(read(places.ravel())).to(device, non_blocking=True).unflatten(0, places.shape)
    )


def digest(images: Images, rows: np.ndarray) -> str:
    """SHA-256 of the pixels of `rows`, read in pieces."""
    total = hashlib.sha256(str((len(rows), images.shape)).encode())
    for at in range(0, len(rows), _PIECE):
        total.update(images.take(rows[at : at + _PIECE]).data)
    return total.hexdigest()


class Sampler:
    """An endless stream of reshuffled passes over `available` images; its position is the number of the step."""

    def __init__(self, available: int, batch_size: int, seed: int):
        self.available, self.batch_size, self.seed = available, batch_size, seed
        self._passes: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        """int64 (batch_size,): places of batch number `step`. A batch larger than the class runs on into the next pass."""
        first = step * self.batch_size
        numbers = range(first // self.available, (first + self.batch_size - 1) // self.available + 1)
        self._passes = {number: self._pass(number) for number in numbers}
        stream = np.concatenate([self._passes[number] for number in numbers])
        return stream[first % self.available :][: self.batch_size]

    def _pass(self, number: int) -> np.ndarray:
        if number in self._passes:
            return self._passes[number]
        return np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(self.available)
