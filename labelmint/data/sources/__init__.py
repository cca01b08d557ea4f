"""The data sets that can be read: one module per published format, each with `read(dataset, raw, scratch)`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from labelmint.data.settings import IDX_SETS, Dataset
from labelmint.data.source import Source

_MODULES = {**{name: "idx" for name in IDX_SETS}, "cifar10": "cifar", "cifar100": "cifar"}


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    """What `dataset` names, its images not yet decoded.

    raw: the folder for raw data. scratch: an empty folder for what has to be unpacked, thrown away by the caller.
    Raises: InputError.
    """
    name = dataset.layout or dataset.name
    return import_module(f"{__name__}.{_MODULES.get(name, name)}").read(dataset, raw, scratch)
