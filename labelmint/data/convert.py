"""Conversion of many images to one memory-mappable file, by several processes in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.hashes import content_hash, perceptual_hashes
from labelmint.data.preprocess import to_tensor
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError, BadImages, Content, Source
from labelmint.data.storage.tensors import write_header
from labelmint.runtime import process_pool
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute

_CHUNK_BYTES = 8 << 20
_CHUNK_IMAGES = 512
_CHUNKS_PER_WORKER = 16  # so that no process waits long for the last chunk of another

_Chunk = tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, str]]
"""Content hashes, perceptual hashes and bits of a chunk's rows, and reasons of bad images by row."""


@dataclass(frozen=True)
class Converted:
    """Facts about N converted images.

    hashes: content hashes, uint64 (N,). perceptual: perceptual hashes, uint64 (N,).
    bits: those that the largest value of a 16-bit image uses, 0 for other images, uint8 (N,).
    good: bool (N,), False for a bad image. bad: names and reasons of the bad images.
    """

    hashes: np.ndarray
    perceptual: np.ndarray
    bits: np.ndarray
    good: np.ndarray
    bad: BadImages


@dataclass(frozen=True)
class _Task:
    """Work of all processes: image rows[i] of `source` becomes row i of `target`.

    offset: byte of `target` at which its rows start.
    """

    source: Source
    rows: np.ndarray
    dataset: Dataset
    target: Path
    offset: int


def convert(source: Source, rows: np.ndarray, dataset: Dataset, target: Path, compute: Compute) -> Converted:
    """Write images `rows` of `source` to `target` as an .npy of uint8 (len(rows), C, S, S).

    The row of a bad image stays black. Raises: OSError when the disk is full.
    """
    shape = (len(rows), dataset.channels, dataset.image_size, dataset.image_size)
    offset = write_header(target, shape)
    per_image = int(np.prod(shape[1:]))
    even = -(-len(rows) // (_CHUNKS_PER_WORKER * process_pool.worker_count(compute, len(rows))))
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // per_image, even))
    chunks = [(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]
    hashes, perceptual = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64)
    bits, good = np.zeros(len(rows), np.uint8), np.ones(len(rows), bool)
    reasons: dict[int, str] = {}
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(source.title, len(rows), "images"))
        # Closed here: on an error the traceback would keep the generator, and with it the processes.
        finished = stack.enter_context(
            closing(_converted(_Task(source, rows, dataset, target, offset), chunks, compute))
        )
        for position, (content, similar, used, bad) in finished:
            first, last = chunks[position]
            hashes[first:last], perceptual[first:last], bits[first:last] = content, similar, used
            reasons |= bad
            progress.add(last - first)
    good[list(reasons)] = False
    named = [(source.images.name(int(rows[row])), reasons[row]) for row in sorted(reasons)]
    return Converted(hashes, perceptual, bits, good, named)


def _converted(
    task: _Task, chunks: list[tuple[int, int]], compute: Compute
) -> Generator[tuple[int, _Chunk], None, None]:
    """Yield (position, result) of each chunk as it finishes."""
    workers = process_pool.worker_count(compute, len(chunks))
    if workers > 1:
        yield from process_pool.in_processes(_work, chunks, workers, _start, (task,))
    else:
        with _Worker(task) as work:
            yield from enumerate(map(work, chunks))


class _Worker:
    """Open files of one process."""

    def __init__(self, task: _Task):
        self.task = task

    def __enter__(self) -> _Worker:
        self.stack = ExitStack()
        self.read: Callable[[int], Content] = self.stack.enter_context(self.task.source.images.open())
        self.target = self.stack.enter_context(self.task.target.open("r+b", buffering=0))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def __call__(self, chunk: tuple[int, int]) -> _Chunk:
        """Convert and write rows first..last."""
        task, (first, last) = self.task, chunk
        shape = (task.dataset.channels, task.dataset.image_size, task.dataset.image_size)
        tensors, bits = np.zeros((last - first, *shape), np.uint8), np.zeros(last - first, np.uint8)
        bad = {}
        for row in range(first, last):
            index = int(task.rows[row])
            box = None if task.source.boxes is None else task.source.boxes[index]
            try:
                tensors[row - first], bits[row - first] = to_tensor(self.read(index), task.dataset, box)
            except BadImageError as error:
                bad[row] = str(error)
        # pwrite, not a memory map, whose dirty pages would count as this process's memory.
        content, position = memoryview(tensors.data).cast("B"), task.offset + first * tensors[0].size
        with named_os_errors(task.target):
            while content:
                written = os.pwrite(self.target.fileno(), content, position)
                content, position = content[written:], position + written
        hashes = np.array([content_hash(tensor) for tensor in tensors], np.uint64)
        return hashes, perceptual_hashes(tensors), bits, bad


_worker: _Worker


def _start(task: _Task) -> None:
    global _worker  # noqa: PLW0603
    _worker = _Worker(task).__enter__()  # closed with the process


def _work(chunk: tuple[int, int]) -> _Chunk:
    return _worker(chunk)
