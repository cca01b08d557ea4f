"""Real labelled images in memory, read, checked, sized and split as the stage `prepare` does it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelmint.data.arrays import LabelledDataset, prepare_arrays
from labelmint.data.settings import PUBLISHED, TORCHVISION, Dataset
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean

__all__ = ["LabelledDataset", "load_dataset"]

_GREY = ("mnist", "fashion_mnist", "kmnist")


def load_dataset(source: str | Path, *, raw: str | Path = "data/raw", **settings: Any) -> LabelledDataset:
    """Read a data set into memory.

    Args:
        source: A folder, zip or tar with one folder of images per class (with or without `train/` and `test/`
            above them) or with a table of labels, or the name of a published data set, e.g. "digits".
        raw: Folder with the original files of published data sets; absent ones are downloaded into it.
        **settings: Fields of `dataset` in params.yaml, e.g. `image_size=64`, `test_percent=30`,
            or `layout="classes"` where folders can be read in several ways.

    Returns:
        Training and test images, uint8 (N, C, S, S), their labels, and the names of the classes.

    Raises:
        UnclearError: The folders can be read in several ways. Its `proposals` list them.
        InputError: The data cannot be used, or a setting is unknown or out of range. One line says why.
    """
    known = [field.name for field in fields(Dataset)]
    for name in settings:
        if name not in known:
            raise InputError(f"load_dataset: unknown setting '{name}'{did_you_mean(name, known)}")
    try:
        return prepare_arrays(_describe(source, settings), Path(raw))
    except ValueError as error:
        raise InputError(f"load_dataset: {error}") from error


def _describe(source: str | Path, settings: dict[str, Any]) -> Dataset:
    """Settings that fit the source, under those that were given."""
    name = str(source)
    if name in PUBLISHED or name.startswith(TORCHVISION):
        if name == "digits":
            guess: dict[str, Any] = {"image_size": 16, "channels": 1}
        elif name in _GREY or name.startswith("emnist"):
            guess = {"image_size": 28, "channels": 1}
        else:
            guess = {"image_size": 32, "channels": 3}
        return Dataset(**{"name": name, **guess, **settings})
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder or archive, or one of {', '.join(PUBLISHED)}")
    title = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_")
    title = title if title[:1].isalpha() and title not in PUBLISHED else f"images_{title}".rstrip("_")
    own = {
        "name": title,
        "format": "imagefolder",
        "path": str(path.resolve()),
        "image_size": 32,
        "channels": 3,
    }
    return Dataset(**{**own, "fit": "cover", **settings})
