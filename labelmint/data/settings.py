"""Params of the data set, and of how work is spread."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Literal, Optional

from labelmint.runtime.settings import within

IDX_SETS = (
    *("mnist", "fashion_mnist", "kmnist"),
    *("emnist_balanced", "emnist_byclass", "emnist_bymerge", "emnist_digits", "emnist_letters", "emnist_mnist"),
)
PUBLISHED = ("digits", *IDX_SETS, "cifar10", "cifar100", "celeba", "faces", "lsun", "imagenet32")
FORMATS = ("imagefolder", "huggingface")
WITH_ATTRIBUTES = ("celeba", "faces")

Fit = Literal["resize", "cover", "contain", "pad"]
OnBadImage = Literal["fail", "skip"]


@dataclass(frozen=True)
class Dataset:
    """`dataset` in params.yaml.

    name: one of PUBLISHED, or a name of one's own together with `format`, `path` and, after `labelmint import`, `sha256`.
    categories: of LSUN. attributes: of faces; one makes two classes, several make multi-hot labels.
    image_size: pixels, square. channels: 1 grey, 3 RGB.
    crop: before sizing: center keeps crop_percent of each side, landmarks and bounding_box follow the annotation files.
    fit: resize stretches to the square, cover fills it and cuts the rest, contain fits within it and pads,
        pad never scales (the image must not be larger). background: grey value around padded images and behind transparent ones.
    resize_filter: Pillow's name of the filter; Pillow antialiases when it shrinks.
    mirror: classes whose mirror image is of the same class: training may flip those images, and no others.
    test_percent, validation_percent: shares held out, for a source without such a split of its own.
    split_seed: draws those shares.
    duplicates: a training image that also stands in the test (or validation) set, byte for byte after sizing, is dropped or refused.
    near_duplicates: the same for images whose perceptual hashes differ in at most near_duplicate_bits of 64 bits and
        whose pixels differ by at most near_duplicate_rms grey levels (root mean square); or they are only counted.
    on_bad_image: fail, or skip and list it, up to 1 % of the images.
    images_per_class: None for all; a number takes so many of each class and split (of each split, where labels are multi-hot).
    """

    name: str = "digits"
    format: Optional[Literal["imagefolder", "huggingface"]] = None
    path: Optional[str] = None
    sha256: Optional[str] = None
    categories: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    image_size: int = 16
    channels: Literal[1, 3] = 1
    crop: Literal["none", "center", "landmarks", "bounding_box"] = "none"
    crop_percent: int = 70
    fit: Fit = "resize"
    background: int = 0
    resize_filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bicubic"
    mirror: Literal["none", "all"] | list[str] = "none"
    test_percent: int = 20
    validation_percent: int = 0
    split_seed: int = 0
    duplicates: Literal["drop", "refuse"] = "drop"
    near_duplicates: Literal["count", "drop", "refuse"] = "count"
    near_duplicate_bits: int = 4
    near_duplicate_rms: float = 8.0
    on_bad_image: OnBadImage = "fail"
    images_per_class: Optional[int] = None

    def __post_init__(self) -> None:
        self._check_name()
        within("dataset", 4, 1024, image_size=self.image_size)
        within("dataset", 1, 100, crop_percent=self.crop_percent)
        within("dataset", 1, 90, test_percent=self.test_percent)
        within("dataset", 0, 50, validation_percent=self.validation_percent)
        within("dataset", 0, 255, background=self.background, near_duplicate_rms=self.near_duplicate_rms)
        within("dataset", 0, 8, near_duplicate_bits=self.near_duplicate_bits)
        if self.images_per_class is not None and self.images_per_class < 4:
            raise ValueError(f"images_per_class must be at least 4 or null, got {self.images_per_class}")
        if self.crop in ("landmarks", "bounding_box") and self.name not in WITH_ATTRIBUTES:
            raise ValueError(
                f"crop: {self.crop} needs the annotations of {' or '.join(WITH_ATTRIBUTES)}, not {self.name}"
            )
        if self.attributes and self.name not in WITH_ATTRIBUTES:
            raise ValueError(f"attributes are of {' or '.join(WITH_ATTRIBUTES)}, not of {self.name}")
        if not self.attributes and self.name in WITH_ATTRIBUTES:
            raise ValueError(f"attributes: name at least one of {self.name}'s, such as [Male]")
        if len(set(self.attributes)) != len(self.attributes):
            raise ValueError(f"attributes: {self.attributes} names one twice")
        if bool(self.categories) != (self.name == "lsun"):
            raise ValueError("categories are of lsun, which needs at least one, such as [bedroom]")

    def _check_name(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"name: '{self.name}' must be small letters, digits and _, beginning with a letter")
        if self.layout is None and self.name not in PUBLISHED:
            near = difflib.get_close_matches(self.name, (*PUBLISHED, *FORMATS), n=1)
            raise ValueError(
                f"name: no data set '{self.name}'"
                + (f"; did you mean '{near[0]}'?" if near else "")
                + f" There are {', '.join(PUBLISHED)}; for images of your own see `labelmint import --help`"
            )
        if self.layout is not None and self.name in PUBLISHED:
            raise ValueError(f"name: '{self.name}' is a published set and takes no format; choose another name")
        if self.layout is not None and not self.path:
            raise ValueError(f"path: say where the images of '{self.name}' lie, or use `labelmint import`")

    @property
    def layout(self) -> Optional[str]:
        """How `path` is laid out; None for a published set. `name: imagefolder` alone says it too."""
        return self.format or (self.name if self.name in FORMATS else None)

    @property
    def multi_hot(self) -> bool:
        return len(self.attributes) > 1
