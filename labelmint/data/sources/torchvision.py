"""Image classification data sets that torchvision reads, by its names: `dataset.name: torchvision/SVHN`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.settings import TORCHVISION, Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION, Source
from labelmint.runtime.errors import InputError, Unreachable
from labelmint.runtime.progress import say
from labelmint.runtime.words import did_you_mean

_PARTS: dict[str, tuple[tuple[int, dict[str, Any]], ...]] = {
    **dict.fromkeys(("QMNIST", "USPS"), ((TRAIN, {"train": True}), (TEST, {"train": False}))),
    **dict.fromkeys(
        ("Food101", "GTSRB", "RenderedSST2", "STL10", "StanfordCars", "SVHN"),
        ((TRAIN, {"split": "train"}), (TEST, {"split": "test"})),
    ),
    **dict.fromkeys(
        ("DTD", "FGVCAircraft", "Flowers102", "PCAM"),
        ((TRAIN, {"split": "train"}), (VALIDATION, {"split": "val"}), (TEST, {"split": "test"})),
    ),
    "Country211": ((TRAIN, {"split": "train"}), (VALIDATION, {"split": "valid"}), (TEST, {"split": "test"})),
    "Imagenette": ((TRAIN, {"split": "train"}), (TEST, {"split": "val"})),
    "OxfordIIITPet": ((TRAIN, {"split": "trainval"}), (TEST, {"split": "test"})),
    **dict.fromkeys(("Caltech101", "Caltech256", "EuroSAT", "SEMEION", "SUN397"), ((TRAIN, {}),)),
}
"""By name: each split of the data set, and how torchvision selects it. One that has none is split here."""

_LABELS = ("targets", "labels", "_labels", "y")
"""Names of the attribute that has the labels of a torchvision data set."""


@dataclass(frozen=True)
class TorchvisionImages:
    """Images of all splits, one after another. sizes: number of images of each."""

    name_: str
    root: Path
    sizes: tuple[int, ...]
    named = False

    def name(self, index: int) -> str:
        return f"{self.name_} {index}"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        parts = [_open(self.name_, self.root, options) for _, options in _PARTS[self.name_]]

        def read(index: int) -> np.ndarray:
            for part, size in zip(parts, self.sizes, strict=True):
                if index < size:
                    image = part[index][0]
                    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
                index -= size
            raise IndexError(index)

        yield read


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    name = dataset.name.removeprefix(TORCHVISION)
    if name not in _PARTS:
        raise InputError(
            f"dataset.name: {dataset.name}: no such data set{did_you_mean(name, _PARTS)}; those with classes "
            f"are {', '.join(sorted(_PARTS))}"
        )
    root = Path(dataset.path) if dataset.path else raw / "torchvision"
    root.mkdir(parents=True, exist_ok=True)
    parts = [_find(name, root, options) for _, options in _PARTS[name]]
    labels = [_labels(part) for part in parts]
    sizes = tuple(map(len, labels))
    splits = np.repeat([split for split, _ in _PARTS[name]], sizes).astype(np.uint8)
    kept, numbers = np.unique(np.concatenate(labels), return_inverse=True)
    return Source(
        title=f"{name} (torchvision)",
        licence="see the data set's page",
        classes=_classes(parts[0], kept),
        labels=numbers.astype(np.int64),
        images=TorchvisionImages(name, root, sizes),
        split=splits if len(parts) > 1 else None,
    )


def _open(name: str, root: Path, options: dict[str, Any], download: bool = False) -> Any:
    from torchvision import datasets

    kind = getattr(datasets, name)
    takes_download = "download" in inspect.signature(kind.__init__).parameters
    return kind(str(root), **options, **({"download": True} if download and takes_download else {}))


def _find(name: str, root: Path, options: dict[str, Any]) -> Any:
    """A split from `root`, downloaded into it if it is not there. Raises: InputError, Unreachable."""
    try:
        return _open(name, root, options)
    except (RuntimeError, FileNotFoundError, ImportError) as error:
        absent = error
    if isinstance(absent, ImportError):
        raise InputError(f"{TORCHVISION}{name}: {absent}; install that package") from absent
    say(f"{TORCHVISION}{name} is not in {root}; downloading it")
    try:
        return _open(name, root, options, download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        kind = Unreachable if isinstance(error, OSError) else InputError
        raise kind(
            f"{TORCHVISION}{name} is not in {root} and cannot be downloaded ({reason}); "
            "put the files there that torchvision's documentation names"
        ) from error


def _labels(part: Any) -> np.ndarray:
    """int64 (N,), as torchvision numbers the classes."""
    for attribute in _LABELS:
        found = getattr(part, attribute, None)
        if found is not None and len(found) == len(part):
            return np.asarray(found, np.int64).reshape(-1)
    samples = getattr(part, "_samples", None) or getattr(part, "samples", None)
    if samples is not None and len(samples) == len(part):
        return np.array([label for _, label in samples], np.int64)
    return np.array([part[index][1] for index in range(len(part))], np.int64)


def _classes(part: Any, kept: np.ndarray) -> list[str]:
    """Names of the classes with these numbers."""
    names: Sequence[Any] = getattr(part, "classes", None) or getattr(part, "categories", None) or []
    return [_name(names[number]) if number < len(names) else str(number) for number in kept.tolist()]


def _name(name: Any) -> str:
    """Imagenette gives several names to a class."""
    return str(name[0] if isinstance(name, (tuple, list)) else name)
