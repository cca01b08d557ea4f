"""Reader of ImageNet at 32 x 32 pixels: the published npz batches, 1.28 million images, read in place.

Source: Chrabaszcz, Loshchilov, Hutter 2017, https://image-net.org/download-images.php (needs an account).
train_data_batch_1.npz ... 10 and val_data.npz are in data/raw/imagenet32 (or dataset.path). Each has `data`,
uint8 (N, 3072) in the order channels, rows, columns, and `labels` from 1 to 1000.
"""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from labelmint.data.archives import is_damage, refuse_bomb
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source, source_folder
from labelmint.data.storage.tensors import ArrayHeader, read_array_header
from labelmint.data.stored_images import Block, RecordImages
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_PIXELS = 3 * 32 * 32
_CHUNK = 1 << 20
_MAX_LABELS = 2_000_000  # in one file; all of ImageNet has 1.28 million


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    batches = sorted(
        folder.glob("train_data_batch_*.npz"), key=lambda path: int(re.sub(r"\D", "", path.stem) or 0)
    )
    if not batches or not (folder / "val_data.npz").is_file():
        raise InputError(
            f"{folder}: train_data_batch_*.npz or val_data.npz missing; "
            "get the 32x32 npz batches from https://image-net.org/download-images.php and unpack them there"
        )
    blocks, labels, split = [], [], []
    for part, path in [*((TRAIN, path) for path in batches), (TEST, folder / "val_data.npz")]:
        block, own = _read_batch(path, scratch)
        blocks.append(block)
        labels.append(own)
        split.append(np.full(len(own), part, np.uint8))
    all_labels = np.concatenate(labels)
    first, last = int(all_labels.min()), int(all_labels.max())
    if first < 1 or last > 1000:
        raise InputError(
            f"{folder}: labels are from {first} to {last}, expected 1 to 1000; fetch the batches again"
        )
    return Source(
        title="ImageNet 32x32 (Chrabaszcz et al.)",
        licence="ImageNet's terms: non-commercial research",
        classes=_class_names(folder, last),
        labels=all_labels - 1,
        images=RecordImages(blocks, (3, 32, 32), "CHW"),
        split=np.concatenate(split),
    )


def _class_names(folder: Path, count: int) -> list[str]:
    """Names from map_clsloc.txt (`n02119789 1 kit_fox`) beside the batches; numbers from 1 without it."""
    path = folder / "map_clsloc.txt"
    if not path.is_file():
        return [str(number) for number in range(1, count + 1)]
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    by_number = {int(row[1]): row[2] for row in rows if len(row) == 3 and row[1].isdigit()}
    if set(range(1, count + 1)) - set(by_number):
        raise InputError(f"{path}: does not name every class from 1 to {count}; fetch it again")
    # Two classes can have the same name (crane, maillot): the number distinguishes them.
    names = [by_number[number] for number in range(1, count + 1)]
    return [name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names, 1)]


def _read_batch(path: Path, scratch: Path) -> tuple[Block, np.ndarray]:
    """Read the labels of one npz and find its pixels.

    Stored pixels are read in place, deflated ones are decompressed into `scratch` first. Raises: InputError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                refuse_bomb(path, entry.filename, entry.file_size, entry.compress_size)
            labels = _read_labels(archive, path)
            entry = archive.getinfo("data.npy")
            with archive.open(entry) as file:
                shape, dtype, start = _npy_header(file, path, "data")
                if dtype != np.uint8 or len(shape) != 2 or shape[1] != _PIXELS:
                    raise InputError(
                        f"{path}: data is {dtype} {shape}, expected uint8 (N, {_PIXELS}); fetch it again"
                    )
                if len(labels) != shape[0]:
                    raise InputError(f"{path}: {shape[0]} images but {len(labels)} labels; fetch it again")
                if entry.file_size != start + shape[0] * _PIXELS:
                    raise InputError(f"{path}: data is truncated; fetch it again")
                if entry.compress_type != zipfile.ZIP_STORED:
                    scratch.mkdir(parents=True, exist_ok=True)
                    unpacked = scratch / f"{path.stem}.bin"
                    with unpacked.open("wb") as out:
                        while chunk := file.read(_CHUNK):
                            with named_os_errors(unpacked):
                                out.write(chunk)
                    return Block(unpacked, 0, _PIXELS, shape[0]), labels
        with path.open("rb") as file:
            file.seek(entry.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        begin = entry.header_offset + 30 + name_bytes + extra_bytes + start
        if begin + shape[0] * _PIXELS > path.stat().st_size:
            raise InputError(f"{path}: data is truncated; fetch it again")
        return Block(path, begin, _PIXELS, shape[0]), labels
    except InputError:
        raise
    except Exception as error:  # damaged bytes cause errors of many types
        if not is_damage(error) and not isinstance(error, (KeyError, RuntimeError)):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: not a complete npz with data and labels ({reason}); fetch it again"
        ) from error


def _read_labels(archive: zipfile.ZipFile, path: Path) -> np.ndarray:
    """Labels, int64 (N,). Raises: InputError."""
    with archive.open("labels.npy") as file:
        shape, dtype, _ = _npy_header(file, path, "labels")
        if dtype.kind not in "iu" or len(shape) != 1:
            raise InputError(f"{path}: labels are {dtype} {shape}, expected integers (N,); fetch it again")
        if shape[0] > _MAX_LABELS:
            raise InputError(f"{path}: {shape[0]:,} labels, but ImageNet has fewer; fetch it again")
        content = file.read(shape[0] * dtype.itemsize)
    if len(content) < shape[0] * dtype.itemsize:
        raise InputError(f"{path}: labels are truncated; fetch it again")
    return np.frombuffer(content, dtype, shape[0]).astype(np.int64)


def _npy_header(file: IO[bytes], path: Path, what: str) -> ArrayHeader:
    """Read the header of an .npy file within `path`. Raises: InputError."""
    try:
        return read_array_header(file)
    except ValueError as error:
        raise InputError(f"{path}: {what} {error}; fetch the published batches") from error
