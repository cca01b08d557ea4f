"""Decode and size many images by several processes into one memory-mappable file, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmint.data.duplicates import perceptual_hashes
from labelmint.data.preprocess import content_hash, to_tensor
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


@dataclass(frozen=True)
class Converted:
    """hashes: uint64 (N,), of content. perceptual: uint64 (N,). good: bool (N,). bad: (name, what is wrong with it)."""

    hashes: np.ndarray
    perceptual: np.ndarray
    good: np.ndarray
    bad: BadImages


@dataclass(frozen=True)
class _Task:
    """What a process needs to know: image rows[i] of `source` becomes row i of `target`."""

    source: Source
    rows: np.ndarray
    dataset: Dataset
    target: Path
    offset: int


def convert(source: Source, rows: np.ndarray, dataset: Dataset, target: Path, compute: Compute) -> Converted:
    """Write images `rows` of `source` to `target` as an .npy of uint8 (len(rows), C, S, S).

    A bad image leaves its row black. Raises: OSError when the disk is full.
    """
    shape = (len(rows), dataset.channels, dataset.image_size, dataset.image_size)
    offset = write_header(target, shape)
    per_image = int(np.prod(shape[1:]))
    even = -(-len(rows) // (_CHUNKS_PER_WORKER * process_pool.worker_count(compute, len(rows))))
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // per_image, even))
    chunks = [(at, min(at + step, len(rows))) for at in range(0, len(rows), step)]
    hashes, perceptual = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64)
    good = np.ones(len(rows), bool)
    bad: dict[int, str] = {}
    task = _Task(source, rows, dataset, target, offset)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(f"prepare: {source.title}", len(rows), "images"))
        count = process_pool.worker_count(compute, len(chunks))
        if count > 1:
            # Closed here, or an error would keep the processes until its traceback is gone.
            finished = stack.enter_context(closing(process_pool.in_processes(_work, chunks, count, _start, (task,))))
        else:
            work = stack.enter_context(_Worker(task))
            finished = enumerate(map(work, chunks))
        for position, (content, seen, wrong) in finished:
            first, last = chunks[position]
            hashes[first:last], perceptual[first:last] = content, seen
            bad |= wrong
            progress.add(last - first)
    good[list(bad)] = False
    return Converted(hashes, perceptual, good, [(source.images.name(int(rows[row])), bad[row]) for row in sorted(bad)])


class _Worker:
    """One process's open files."""

    def __init__(self, task: _Task):
        self.task = task

    def __enter__(self) -> _Worker:
        self.stack = ExitStack()
        self.read: Callable[[int], Content] = self.stack.enter_context(self.task.source.images.open())
        self.target = self.stack.enter_context(self.task.target.open("r+b", buffering=0))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def __call__(self, chunk: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        """(content hashes, perceptual hashes, what is wrong by row) of rows first..last, which are written."""
        task, (first, last) = self.task, chunk
        shape = (task.dataset.channels, task.dataset.image_size, task.dataset.image_size)
        tensors = np.zeros((last - first, *shape), np.uint8)
        bad = {}
        for row in range(first, last):
            index = int(task.rows[row])
            box = None if task.source.boxes is None else task.source.boxes[index]
            try:
                tensors[row - first] = to_tensor(self.read(index), task.dataset, box)
            except BadImageError as error:
                bad[row] = str(error)
        # pwrite, not a memory map, whose dirty pages would count as this process's memory.
        content, at = memoryview(tensors).cast("B"), task.offset + first * tensors[0].size
        with named_os_errors(task.target):
            while content:
                written = os.pwrite(self.target.fileno(), content, at)
                content, at = content[written:], at + written
        hashes = np.array([content_hash(tensor) for tensor in tensors], np.uint64)
        return hashes, perceptual_hashes(tensors), bad


_worker: _Worker


def _start(task: _Task) -> None:
    global _worker
    _worker = _Worker(task).__enter__()  # closed with the process


def _work(chunk: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    return _worker(chunk)
