"""A labelled set of images on disk: images.npy (uint8, N x C x H x W) and labels.npy (int64, N; or float32 multi-hot, N x A).

checksums.json beside them holds their SHA-256. DVC looks at sizes and times alone once it has seen a file, so that a bit which the
disk flips would pass it by.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from labelmint.runtime.atomic_files import atomic_write, load_json, named_os_errors, save_json
from labelmint.runtime.errors import InputError

CHECKSUMS = "checksums.json"
_PIECE = 1024


def write_header(path: Path, shape: tuple[int, ...]) -> int:
    """Begin an .npy of uint8 whose rows follow later, in any order. Returns: the byte at which they begin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_os_errors(path), path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        offset = file.tell()
        file.truncate(offset + int(np.prod(shape)))
    return offset


class ImageFile:
    """An .npy of uint8 read row by row: unlike a memory map's, its pages never count as the process's own memory."""

    def __init__(self, path: Path):
        self.file = path.open("rb")
        np.lib.format.read_magic(self.file)
        self.shape, _, _ = np.lib.format.read_array_header_1_0(self.file)  # as write_header writes it
        self.offset = self.file.tell()

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (len(rows), ...)."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for place, row in enumerate(rows.tolist()):
            os.preadv(self.file.fileno(), [images[place].reshape(-1)], self.offset + row * images[place].size)
        return images


def keep_rows(path: Path, rows: np.ndarray) -> None:
    """Leave only `rows`, ascending, in an .npy of uint8."""
    with ImageFile(path) as images:
        if len(rows) == len(images):
            return
        with atomic_write(path) as partial:
            offset = write_header(partial, (len(rows), *images.shape[1:]))
            with partial.open("r+b") as file:
                file.seek(offset)
                for at in range(0, len(rows), _PIECE):
                    file.write(images[rows[at : at + _PIECE]].data)


def save_array(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def save_set(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    save_array(folder / "images.npy", images)
    save_array(folder / "labels.npy", labels)
    save_checksums(folder)


def save_checksums(folder: Path) -> None:
    """Of all arrays in the folder, which are finished."""
    save_json(folder / CHECKSUMS, {path.name: _sha256(path) for path in sorted(folder.glob("*.npy"))})


def verify(path: Path) -> None:
    """Raises: InputError when an array is missing, or is not what was written down beside it."""
    if not path.exists():
        raise InputError(f"{path} is missing; `dvc repro` makes it")
    known, facts = load_json(path.with_name(CHECKSUMS)), path.stat()
    if not isinstance(known, dict) or known.get(path.name) != _sha256_once(path, facts.st_size, facts.st_mtime_ns):
        raise InputError(f"{path}: damaged, its checksum is not the one in {CHECKSUMS}; delete it and run again")


@functools.lru_cache(maxsize=64)
def _sha256_once(path: Path, size: int, modified: int) -> str:
    """A stage opens a set several times, and needs to read all of it only once for this."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_set(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """images: uint8 (N, C, H, W), memory-mapped read-only. labels: int64 (N,), or float32 (N, A) where they are multi-hot.

    Raises: InputError naming the file that is missing, damaged, or does not match the other.
    """
    arrays = []
    for name, mode in (("images.npy", "r"), ("labels.npy", None)):
        path = folder / name
        verify(path)
        try:
            arrays.append(np.load(path, mmap_mode=mode, allow_pickle=False))
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: damaged array ({error}); delete it and run again") from error
    images, labels = arrays
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
        raise InputError(
            f"{folder}: expected uint8 images N x C x H x W with N labels, "
            f"got {images.dtype} {images.shape} with labels {labels.shape}"
        )
    return images, labels
