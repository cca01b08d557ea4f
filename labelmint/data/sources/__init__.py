"""Readers of data sets: one module a format, each with `read(dataset, raw, scratch) -> Source`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from labelmint.data.settings import IDX_SETS, TORCHVISION, Dataset
from labelmint.data.source import Source

_MODULES = {**dict.fromkeys(IDX_SETS, "idx"), "cifar10": "cifar", "cifar100": "cifar"}


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    """Read the data set that `dataset` names. Its images stay encoded.

    raw: folder of raw data. scratch: empty folder for unpacked files; the caller deletes it.
    Raises: InputError.
    """
    name = "torchvision" if dataset.name.startswith(TORCHVISION) else dataset.reader or dataset.name
    reader = import_module(f"{__name__}.{_MODULES.get(name, name)}")
    return cast(Source, reader.read(dataset, raw, scratch))
