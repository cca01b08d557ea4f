"""What a reader returns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional, Protocol

import numpy as np

from labelmint.data.settings import Dataset

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")

Content = bytes | np.ndarray
"""One image: an encoded file, or uint8 pixels (H, W) or (H, W, 3)."""

BadImages = list[tuple[str, str]]
"""(name, what is wrong with it)."""


class Images(Protocol):
    """Images in storage. Each process opens them for itself, so an object must survive pickling.

    named: whether a name tells more than the position, so that the manifest should list it.
    """

    named: bool

    def name(self, index: int) -> str: ...

    def open(self) -> AbstractContextManager[Callable[[int], Content]]: ...


@dataclass(frozen=True)
class Source:
    """N labelled images and what is known of them.

    classes: names of the classes, or of the attributes where labels are multi-hot.
    labels: int64 (N,), or uint8 (N, A) of 0 and 1. split: uint8 (N,) of TRAIN, VALIDATION, TEST; None: ours to draw.
    boxes: int32 (N, 4), left, top, right, bottom in pixels, where dataset.crop asks for the annotation's window.
    unreadable: images that the reader itself had to leave out. notes: sentences a person should read.
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


def one_attribute_makes_classes(source: Source, dataset: Dataset) -> Source:
    """Multi-hot labels of a single attribute, as two classes: without it, and with it."""
    if dataset.multi_hot:
        return source
    (name,) = source.classes
    return replace(source, classes=[f"not {name}", name], labels=source.labels[:, 0].astype(np.int64))


def folder_of(dataset: Dataset, raw: Path) -> Path:
    """Where a data set that nobody may download for a person is looked for."""
    return Path(dataset.path) if dataset.path else raw / dataset.name
