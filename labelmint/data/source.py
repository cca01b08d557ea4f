"""The value that a reader returns: labelled images that are not decoded yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, Protocol

import numpy as np

from labelmint.data.settings import Dataset

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""Words for the splits in names of folders, files and arrays."""

Content = bytes | np.ndarray
"""One image: an encoded file, or uint8 pixels (H, W) or (H, W, 3)."""

BadImages = list[tuple[str, str]]
"""Pairs (image name, reason)."""


class BadImageError(Exception):
    """An image that cannot be used. The message says what is wrong; the caller adds which image it is."""


class Images(Protocol):
    """Stored images, read at random positions.

    Each worker process opens its own files, so an object must be picklable.
    named: True where `name` says more than the position, so that the manifest should list the names.
    """

    named: bool

    def name(self, index: int) -> str: ...

    def open(self) -> AbstractContextManager[Callable[[int], Content]]: ...


@dataclass(frozen=True)
class Source:
    """N labelled images and their metadata.

    classes: names of the classes, or of the attributes where labels are multi-hot.
    labels: int64 (N,), or uint8 (N, A) of 0 and 1.
    split: uint8 (N,) of TRAIN, VALIDATION, TEST; None where `prepare` draws the split.
    boxes: int32 (N, 4), left, top, right, bottom in pixels; set where `dataset.crop` uses annotated windows.
    unreadable: images that the reader had to leave out. notes: sentences that `prepare` prints.
    reading: how the user's own files were understood, for the manifest.
    """

    title: str
    licence: str
    classes: list[str]
    labels: np.ndarray
    images: Images
    split: Optional[np.ndarray] = None
    boxes: Optional[np.ndarray] = None
    checksums: dict[str, str] = field(default_factory=dict)
    unreadable: BadImages = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)


def single_attribute_to_classes(source: Source, dataset: Dataset) -> Source:
    """Convert multi-hot labels of one attribute to two classes, without it and with it.

    A source with several attributes is returned unchanged.
    """
    if dataset.multi_hot:
        return source
    (name,) = source.classes
    return replace(source, classes=[f"not {name}", name], labels=source.labels[:, 0].astype(np.int64))


def source_folder(dataset: Dataset, raw: Path) -> Path:
    """Folder of a data set that the user has to download: `dataset.path`, or its own folder in `raw`."""
    return Path(dataset.path) if dataset.path else raw / dataset.name
