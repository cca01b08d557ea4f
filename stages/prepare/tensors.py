"""A labelled set of images on disk: images.npy (uint8, N x C x H x W) and labels.npy (int64, N)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.prepare.errors import InputError
from stages.prepare.files import whole


def save_array(path: Path, array: np.ndarray) -> None:
    with whole(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def save_set(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    save_array(folder / "images.npy", images)
    save_array(folder / "labels.npy", labels)


def load_set(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """images: uint8 (N, C, H, W), memory-mapped read-only. labels: int64 (N,).

    Raises: InputError naming the file that is missing, damaged, or does not match the other.
    """
    arrays = []
    for name, mode in (("images.npy", "r"), ("labels.npy", None)):
        path = folder / name
        try:
            arrays.append(np.load(path, mmap_mode=mode, allow_pickle=False))
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing; `dvc repro` makes it") from error
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: damaged array ({error}); delete it and run again") from error
    images, labels = arrays
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
        raise InputError(
            f"{folder}: expected uint8 images N x C x H x W with N labels, "
            f"got {images.dtype} {images.shape} with labels {labels.shape}"
        )
    return images, labels
