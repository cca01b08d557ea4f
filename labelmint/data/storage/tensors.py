"""Labelled images on disk.

images.npy is uint8, N x C x H x W; labels.npy is int64, N, or float32 multi-hot, N x A.
checksums.json beside them holds their SHA-256. DVC trusts size and mtime, so it would miss a flipped bit.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from labelmint.runtime.atomic_files import atomic_write, load_json, named_os_errors, save_json
from labelmint.runtime.errors import InputError

CHECKSUMS = "checksums.json"
_CHUNK = 1024


class ArrayHeader(NamedTuple):
    """Header of an .npy. offset: bytes before the first value."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int


def read_array_header(file: IO[bytes]) -> ArrayHeader:
    """Read the header of an .npy.

    Raises: ValueError, whose message continues "FILE ...", for anything but a plain array in row order.
    Arrays of Python objects are pickles, which run any code when they are loaded.
    """
    try:
        version = np.lib.format.read_magic(file)
        formats = np.lib.format
        read = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError as error:
        raise ValueError(f"is not an array ({error})") from error
    if dtype.hasobject:
        raise ValueError("contains Python objects, which can run any code when they are loaded")
    if fortran and len(shape) > 1:
        raise ValueError("is stored column by column")
    return ArrayHeader(shape, dtype, file.tell())


def write_header(path: Path, shape: tuple[int, ...]) -> int:
    """Create an .npy of uint8 zeros, whose rows are written later in any order.

    Returns: offset of the rows in bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_os_errors(path), path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        offset = file.tell()
        file.truncate(offset + int(np.prod(shape)))
    return offset


class ImageFile:
    """An .npy of uint8 read row by row.

    Unlike the pages of a memory map, what it read never counts as the process's own memory.
    """

    def __init__(self, path: Path):
        self.file = path.open("rb")
        self.shape, _, self.offset = read_array_header(self.file)

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Images of these rows, uint8 (len(rows), ...)."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for index, row in enumerate(rows.tolist()):
            image = images[index].reshape(-1)
            os.preadv(self.file.fileno(), [image], self.offset + row * image.size)
        return images


def keep_rows(path: Path, rows: np.ndarray) -> None:
    """Remove all rows of an .npy of uint8 except `rows`, ascending."""
    with ImageFile(path) as images:
        if len(rows) == len(images):
            return
        with atomic_write(path) as partial:
            offset = write_header(partial, (len(rows), *images.shape[1:]))
            with partial.open("r+b") as file:
                file.seek(offset)
                for start in range(0, len(rows), _CHUNK):
                    file.write(images[rows[start : start + _CHUNK]].data)


def save_array(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def save_set(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images, labels and their checksums."""
    save_array(folder / "images.npy", images)
    save_array(folder / "labels.npy", labels)
    save_checksums(folder)


def save_checksums(folder: Path) -> None:
    """Record the checksums of all arrays in the folder, which are finished."""
    save_json(folder / CHECKSUMS, {path.name: _sha256(path) for path in sorted(folder.glob("*.npy"))})


def verify(path: Path) -> None:
    """Check an array against its recorded checksum. Raises: InputError when it is missing or differs."""
    if not path.exists():
        raise InputError(f"{path} is missing; `dvc repro` makes it")
    recorded, facts = load_json(path.with_name(CHECKSUMS)), path.stat()
    found = _cached_sha256(path, facts.st_size, facts.st_mtime_ns)
    if not isinstance(recorded, dict) or recorded.get(path.name) != found:
        raise InputError(
            f"{path}: damaged, its checksum is not the one in {CHECKSUMS}; delete it and run again"
        )


@functools.lru_cache(maxsize=64)
def _cached_sha256(path: Path, size: int, modified: int) -> str:
    """SHA-256, computed once per version of a file: a stage opens a set several times."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_set(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Load (images, labels).

    Returns: images, uint8 (N, C, H, W), memory-mapped read-only; labels, int64 (N,), or float32 (N, A).
    Raises: InputError that names the file that is missing, damaged, or does not match the other.
    """
    images, labels = load_array(folder / "images.npy", mapped=True), load_array(folder / "labels.npy")
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
        raise InputError(
            f"{folder}: expected uint8 images N x C x H x W with N labels, "
            f"got {images.dtype} {images.shape} with labels {labels.shape}"
        )
    return images, labels


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """Load an array whose checksum is recorded, memory-mapped read-only if `mapped`.

    Raises: InputError when it is missing or damaged.
    """
    verify(path)
    try:
        array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged array ({error}); delete it and run again") from error
    return array
