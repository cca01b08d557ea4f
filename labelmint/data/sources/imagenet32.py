"""Reader of ImageNet at 32 x 32 pixels: the published npz batches, 1.28 million images, read in place.

Source: Chrabaszcz, Loshchilov, Hutter 2017, https://image-net.org/download-images.php (needs an account).
train_data_batch_1.npz ... 10 and val_data.npz are in data/raw/imagenet32 (or dataset.path). Each has `data`,
uint8 (N, 3072) in the order channels, rows, columns, and `labels` from 1 to 1000.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from labelmint.data.classes import distinct_names
from labelmint.data.npz import read_npz
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source, source_folder
from labelmint.data.stored_images import Block, RecordImages
from labelmint.runtime.errors import InputError

_PIXELS = 3 * 32 * 32
_ADVICE = "fetch the published batches again"


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
    return distinct_names([by_number[number] for number in range(1, count + 1)], first=1)


def _read_batch(path: Path, scratch: Path) -> tuple[Block, np.ndarray]:
    """Find the pixels of one npz and read its labels, int64 (N,). Raises: InputError."""
    arrays = read_npz(path, scratch, _ADVICE)
    if missing := [name for name in ("data", "labels") if name not in arrays]:
        raise InputError(f"{path}: not a complete npz with data and labels: no {missing[0]}; {_ADVICE}")
    data, labels = arrays["data"], arrays["labels"]
    if data.dtype != np.uint8 or len(data.shape) != 2 or data.shape[1] != _PIXELS:
        raise InputError(
            f"{path}: data is {data.dtype} {data.shape}, expected uint8 (N, {_PIXELS}); {_ADVICE}"
        )
    if labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}, expected integers (N,); {_ADVICE}"
        )
    if labels.shape != data.shape[:1]:
        raise InputError(f"{path}: {data.shape[0]:,} images but {labels.shape[0]:,} labels; {_ADVICE}")
    return Block(data.path, data.offset, _PIXELS, data.shape[0]), labels.values().astype(np.int64)
