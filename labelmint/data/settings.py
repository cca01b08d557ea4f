"""Settings of the data set."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Interval
from typing_extensions import Doc

from labelmint.runtime.validation import Settings
from labelmint.runtime.words import did_you_mean

TORCHVISION = "torchvision/"
"""Begins the names of data sets that torchvision reads."""
IDX_SETS = (
    *("mnist", "fashion_mnist", "kmnist"),
    *(
        "emnist_balanced",
        "emnist_byclass",
        "emnist_bymerge",
        "emnist_digits",
        "emnist_letters",
        "emnist_mnist",
    ),
)
PUBLISHED = ("digits", *IDX_SETS, "cifar10", "cifar100", "celeba", "faces", "lsun", "imagenet32")
FORMATS = ("imagefolder", "huggingface", "npz")
WITH_ATTRIBUTES = ("celeba", "faces")

Fit = Literal["resize", "cover", "contain", "pad"]
OnBadImage = Literal["fail", "skip"]


@dataclass(frozen=True)
class Dataset(Settings):
    """Which images are used, how they are converted, and how they are split."""

    name: Annotated[
        str,
        Doc(
            f"A published data set, or the name of an imported one. Published: {', '.join(PUBLISHED)}, and "
            "sets of torchvision, e.g. torchvision/SVHN. "
            "Import your own images with `labelmint import`."
        ),
    ] = "digits"
    format: Annotated[
        Literal["imagefolder", "huggingface", "npz"] | None, Doc("Format of your own images at `path`.")
    ] = None
    path: Annotated[
        str | None,
        Doc(
            "Folder or archive of your own images. For celeba, lsun and imagenet32, their folder if it is "
            "not data/raw/<name>."
        ),
    ] = None
    encoding: Annotated[
        str | None,
        Doc(
            "Encoding of the names in an archive that does not state it, e.g. gbk. null guesses, and says so."
        ),
    ] = None
    label_column: Annotated[
        str | None, Doc("Column of the labels, for huggingface data that have several.")
    ] = None
    bit_depth: Annotated[
        Annotated[int, Interval(ge=1, le=16)] | None,
        Doc(
            "Bits that images of 16 bits use, e.g. 12: 4095 becomes white. null takes the most that any of "
            "them uses, and says so if it is not 16."
        ),
    ] = None
    layout: Annotated[
        Literal["classes", "splits", "innermost"] | None,
        Doc(
            "What the folders of your own images are. `classes`: each outer folder is a class. `splits`: "
            "those named train, test, … are splits and have class folders. `innermost`: the folder that "
            "holds an image is its class. null takes what is clear, and refuses what is not."
        ),
    ] = None
    split_folders: Annotated[
        list[str],
        Doc("Folders of the splits, if their names do not say it, e.g. [train=photos/a, test=photos/b]."),
    ] = field(default_factory=list)
    labels: Annotated[
        str | None,
        Doc(
            "Table with the labels of your own images. FILE, or FILE:FILE_COLUMN,LABEL_COLUMN, "
            "e.g. labels.csv:id,breed."
        ),
    ] = None
    sha256: Annotated[str | None, Doc("SHA-256 of the archive, as `labelmint import` writes it.")] = None
    categories: Annotated[list[str], Doc("Categories of lsun, e.g. [bedroom].")] = field(default_factory=list)
    attributes: Annotated[
        list[str], Doc("Attributes of celeba or faces. One makes two classes, several make multi-hot labels.")
    ] = field(default_factory=list)
    image_size: Annotated[
        int, Interval(ge=4, le=1024), Doc("Width and height of converted images, pixels.")
    ] = 16
    channels: Annotated[Literal[1, 3], Doc("Colour channels. 1 is grey, 3 is RGB.")] = 1
    crop: Annotated[
        Literal["none", "center", "landmarks", "bounding_box"],
        Doc(
            "Crop before resizing. `center` keeps crop_percent of each side; `landmarks` and `bounding_box` "
            "follow the annotation files of celeba or faces."
        ),
    ] = "none"
    crop_percent: Annotated[
        int, Interval(ge=1, le=100), Doc("Percentage of each side kept by crop: center.")
    ] = 70
    fit: Annotated[
        Fit,
        Doc(
            "How images become square. `resize` stretches, `cover` fills the square and cuts the rest, "
            "`contain` pads after scaling, `pad` never scales (the image must not be larger)."
        ),
    ] = "resize"
    background: Annotated[
        int, Interval(ge=0, le=255), Doc("Grey value around padded images and behind transparent ones.")
    ] = 0
    resize_filter: Annotated[
        Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"],
        Doc("Pillow's resampling filter. Pillow antialiases when it shrinks."),
    ] = "bicubic"
    mirror: Annotated[
        Literal["none", "all"] | list[str],
        Doc(
            "Classes whose mirror images are valid. Training may flip images of these classes and no others."
        ),
    ] = "none"
    test_percent: Annotated[
        int, Interval(ge=1, le=90), Doc("Percentage held out for testing, if the source has no test set.")
    ] = 20
    validation_percent: Annotated[
        int, Interval(ge=0, le=50), Doc("Percentage of the rest held out for validation.")
    ] = 0
    split_seed: Annotated[int, Doc("Seed of these splits.")] = 0
    duplicates: Annotated[
        Literal["drop", "refuse"],
        Doc(
            "Training images that are also test or validation images. They are compared byte for byte after "
            "resizing."
        ),
    ] = "drop"
    near_duplicates: Annotated[
        Literal["count", "drop", "refuse"],
        Doc(
            "Training images that nearly equal test or validation images. Both near_duplicate_bits and "
            "near_duplicate_rms must hold."
        ),
    ] = "count"
    near_duplicate_bits: Annotated[
        int,
        Interval(ge=0, le=8),
        Doc("Largest difference of perceptual hashes of near duplicates, bits of 64."),
    ] = 4
    near_duplicate_rms: Annotated[
        float,
        Interval(ge=0, le=255),
        Doc("Largest difference of pixels of near duplicates, grey levels (root mean square)."),
    ] = 8.0
    on_bad_image: Annotated[
        OnBadImage,
        Doc("What an unreadable image does. `skip` leaves out and lists up to 1 % of the images, or three."),
    ] = "fail"
    images_per_class: Annotated[
        Annotated[int, Ge(4)] | None,
        Doc("Most images per class and split; null takes all. With multi-hot labels, most images per split."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_name()
        annotated = " or ".join(WITH_ATTRIBUTES)
        if self.crop in ("landmarks", "bounding_box") and self.name not in WITH_ATTRIBUTES:
            raise ValueError(f"crop: {self.crop} needs the annotations of {annotated}, not {self.name}")
        if self.attributes and self.name not in WITH_ATTRIBUTES:
            raise ValueError(f"attributes need name: {annotated}, got {self.name}")
        if not self.attributes and self.name in WITH_ATTRIBUTES:
            raise ValueError(f"attributes must name at least one attribute of {self.name}, e.g. [Male]")
        if len(set(self.attributes)) != len(self.attributes):
            raise ValueError(f"attributes: {self.attributes} names one twice")
        if bool(self.categories) != (self.name == "lsun"):
            raise ValueError("categories are for lsun, which needs at least one, e.g. [bedroom]")
        if self.label_column is not None and self.reader != "huggingface":
            raise ValueError("label_column is for format: huggingface")
        if self.encoding is not None and not is_encoding(self.encoding):
            raise ValueError(f"encoding: no encoding of text is called '{self.encoding}'; e.g. gbk or cp437")
        if (self.layout or self.split_folders or self.labels) and self.reader != "imagefolder":
            raise ValueError("layout, split_folders and labels are for your own images, format: imagefolder")
        for each in self.split_folders:
            if not re.fullmatch(r"(train|validation|test)=.+", each):
                raise ValueError(f"split_folders: '{each}' must be train=, validation= or test=FOLDER")

    def _check_name(self) -> None:
        if self.name.startswith(TORCHVISION) and self.name[len(TORCHVISION) :].isalnum():
            if self.format is not None:
                raise ValueError(f"name: '{self.name}' is a published data set and takes no format")
            return
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(
                f"name must be lower-case letters, digits and _, starting with a letter, got '{self.name}'"
            )
        if self.reader is None and self.name not in PUBLISHED:
            raise ValueError(
                f"name: no data set '{self.name}'{did_you_mean(self.name, (*PUBLISHED, *FORMATS))}; known "
                f"are {', '.join(PUBLISHED)}; for your own images see `labelmint import --help`"
            )
        if self.reader is not None and self.name in PUBLISHED:
            raise ValueError(
                f"name: '{self.name}' is a published data set and takes no format; choose another name"
            )
        if self.reader is not None and not self.path:
            raise ValueError(
                f"path must say where the images of '{self.name}' are, or use `labelmint import`"
            )

    @property
    def reader(self) -> str | None:
        """Format of `path`, also given by `name: imagefolder` alone; None for a published data set."""
        return self.format or (self.name if self.name in FORMATS else None)

    @property
    def multi_hot(self) -> bool:
        """Whether labels are several attributes."""
        return len(self.attributes) > 1


def is_encoding(name: str) -> bool:
    """Whether Python knows a text encoding of this name."""
    try:
        b"a".decode(name)
    except UnicodeDecodeError:
        return True
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return False
    return True
