"""A data set in one .npz, such as MedMNIST's: train_images, train_labels, test_images, ….

The name of an array says what it holds and, unless there is one set only, its split, as Keras's x_train.
Images are uint8 (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W).
Source: Yang et al. 2023, https://medmnist.com.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

import numpy as np

from labelmint.data.classes import check_names, number_classes
from labelmint.data.npz import StoredArray, read_npz
from labelmint.data.source import SPLIT_NAMES, SPLITS, TRAIN, Source
from labelmint.data.stored_images import Block, RecordImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened

_KINDS = {
    **dict.fromkeys(("images", "image", "imgs", "img", "x", "data"), "images"),
    **dict.fromkeys(("labels", "label", "y", "targets", "target"), "labels"),
}
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")
_ADVICE = "save it again with numpy.savez"
_NAMES = "name its arrays as MedMNIST does: train_images, train_labels, test_images, test_labels"


def read_set(path: Path, name: str, scratch: Path) -> Source:
    """Read an .npz as the data set `name`. Compressed arrays are decompressed into `scratch`.

    Raises: InputError when the arrays' names, types or sizes do not fit.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the .npz that has the images")
    images, labels = _arrays_by_split(read_npz(path, scratch, _ADVICE), path)
    unlabelled = sorted(images.keys() - labels.keys())
    if TRAIN in unlabelled or labels.keys() - images.keys() or TRAIN not in images:
        raise InputError(f"{path}: no training images with labels among its arrays; {_NAMES}")
    parts = sorted(labels)
    shapes = {images[part].shape[1:] for part in parts}
    if len(shapes) > 1:
        raise InputError(f"{path}: images of the sizes {sorted(shapes)}; one file has images of one size")
    shape, layout = _layout(shapes.pop(), path)
    stride = math.prod(shape)
    blocks = [Block(images[part].path, images[part].offset, stride, images[part].shape[0]) for part in parts]
    try:
        classes, numbers = number_classes(np.concatenate([_values(labels[part], path) for part in parts]))
    except ValueError as error:
        raise InputError(f"{path}: its labels are no text ({error}); {_ADVICE}") from error
    check_names(classes, path)
    sizes = [block.count for block in blocks]
    if sum(sizes) != len(numbers) or any(labels[part].shape[0] != size for part, size in zip(parts, sizes)):
        raise InputError(f"{path}: {sum(sizes):,} images but {len(numbers):,} labels; {_ADVICE}")
    return Source(
        title=f"{name} ({path.name})",
        licence="the owner's",
        classes=classes,
        labels=numbers,
        images=RecordImages(blocks, shape, layout),
        split=np.repeat(np.array(parts, np.uint8), sizes) if len(parts) > 1 else None,
        notes=[f"the {SPLITS[part]} images have no labels and are left out" for part in unlabelled],
    )


def names_as_files(source: Source) -> list[str]:
    """Names for the images of a source in a tree of folders, e.g. train/cat/0000017.png."""
    if bad := [name for name in source.classes if not name or "/" in name or name.startswith(".")]:
        raise InputError(f"{source.title}: class '{bad[0]}' cannot be the name of a folder; rename it")
    split = [f"{SPLITS[part]}/" for part in source.split.tolist()] if source.split is not None else None
    return [
        f"{split[row] if split else ''}{source.classes[label]}/{row:07}.png"
        for row, label in enumerate(source.labels.tolist())
    ]


def _arrays_by_split(
    arrays: dict[str, StoredArray], path: Path
) -> tuple[dict[int, StoredArray], dict[int, StoredArray]]:
    """Images and labels of each split, or of TRAIN where no name says a split. Raises: InputError."""
    found: dict[str, dict[int, StoredArray]] = {"images": {}, "labels": {}}
    for name, array in arrays.items():
        words = [word.lower() for word in _WORD.findall(name)]
        kinds = {_KINDS[word] for word in words if word in _KINDS}
        splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES} or {TRAIN}
        if len(kinds) != 1 or len(splits) != 1:
            raise InputError(
                f"{path}: cannot tell what '{name}' holds of {shortened(list(arrays), 8)}; {_NAMES}"
            )
        (kind,), (part,) = kinds, splits
        if part in found[kind]:
            raise InputError(f"{path}: two arrays of {SPLITS[part]} {kind}, one is '{name}'; {_NAMES}")
        if kind == "images" and array.dtype != np.uint8:
            raise InputError(
                f"{path}: {name} is {array.dtype}, expected uint8 from 0 (black) to 255; convert and save it"
            )
        found[kind][part] = array
    return found["images"], found["labels"]


def _layout(shape: tuple[int, ...], path: Path) -> tuple[tuple[int, ...], Literal["HW", "HWC", "CHW"]]:
    """Shape of an image without a single channel, and the order of its axes. Raises: InputError."""
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape = shape[:2] if shape[2] == 1 else shape[1:]
    if len(shape) == 2:
        return shape, "HW"
    if len(shape) == 3 and shape[2] == 3:
        return shape, "HWC"
    if len(shape) == 3 and shape[0] == 3:
        return shape, "CHW"
    raise InputError(
        f"{path}: images are {' x '.join(map(str, shape))}; expected height x width, with 1 or 3 channels"
    )


def _values(labels: StoredArray, path: Path) -> np.ndarray:
    """One label per image, (N,), also of labels (N, 1) and of one-hot labels (N, K). Raises: InputError."""
    values = labels.values()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2 and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all():
        values = values.argmax(1)
    if values.ndim != 1 or values.dtype.kind not in "biuU":
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}; expected one number or word per image, (N,)"
        )
    return values
