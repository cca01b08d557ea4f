"""Params of the data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional


def within(owner: str, low: float, high: float, **values: float) -> None:
    """Raises: ValueError naming the first value outside low..high."""
    for name, value in values.items():
        if not low <= value <= high:
            raise ValueError(f"{owner}.{name} must be {low} to {high}, got {value}")


@dataclass(frozen=True)
class Dataset:
    """`dataset` in params.yaml.

    name: digits (scikit-learn's 1,797 real handwritten digits) or mnist.
    image_size: pixels, square. channels: 1 grey, 3 RGB (grey is repeated).
    fit: how an image reaches image_size: `resize`, or `pad` with the background value 0 (never crops).
    resize_filter: Pillow's name of the filter; Pillow antialiases when it shrinks.
    test_percent: share held out for testing, for a source without a test split of its own.
    split_seed: draws that held-out share.
    duplicates: a training image that also stands in the test set is dropped, or refused. Counted either way.
    images_per_class: None for all; a number takes so many of each class, for a quick look.
    """

    name: Literal["digits", "mnist"] = "digits"
    image_size: int = 16
    channels: Literal[1, 3] = 1
    fit: Literal["resize", "pad"] = "resize"
    resize_filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bicubic"
    test_percent: int = 20
    split_seed: int = 0
    duplicates: Literal["drop", "refuse"] = "drop"
    images_per_class: Optional[int] = None

    def __post_init__(self) -> None:
        if not 4 <= self.image_size <= 1024:
            raise ValueError(f"image_size must be 4 to 1024 pixels, got {self.image_size}")
        if not 1 <= self.test_percent <= 90:
            raise ValueError(f"test_percent must be 1 to 90, got {self.test_percent}")
        if self.images_per_class is not None and self.images_per_class < 4:
            raise ValueError(f"images_per_class must be at least 4 or null, got {self.images_per_class}")
