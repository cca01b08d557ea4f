"""LSUN: scenes by category, one LMDB each, whose values are encoded images.

Source: Yu et al. 2015, https://github.com/fyu/lsun. `<category>_train_lmdb` and, where present, `<category>_val_lmdb`
lie in data/raw/lsun (or dataset.path) as unpacked from the published zips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, BadImageError, Source, check_size, source_folder
from labelmint.runtime.errors import InputError

_KEY_BYTES = 40  # keys are SHA-1 sums in hex; an array of them takes far less room than a list


@dataclass(frozen=True)
class LmdbImages:
    """Values of several LMDBs, one after the other. keys: bytes (N,) of each."""

    paths: list[Path]
    keys: list[np.ndarray]
    named = False

    def name(self, index: int) -> str:
        at, within = self._find(index)
        return f"{self.paths[at].name}, key {self.keys[at][within].decode('ascii', 'replace')}"

    def _find(self, index: int) -> tuple[int, int]:
        for at, keys in enumerate(self.keys):
            if index < len(keys):
                return at, index
            index -= len(keys)
        raise IndexError(index)

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with ExitStack() as stack:
            views = [stack.enter_context(_transaction(path)) for path in self.paths]

            def read(index: int) -> bytes:
                at, within = self._find(index)
                content = views[at].get(bytes(self.keys[at][within]))
                if content is None:
                    raise BadImageError("no such key any more")
                return check_size(content)

            yield read


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    paths, keys, labels, split = [], [], [], []
    for label, category in enumerate(dataset.categories):
        if not (folder / f"{category}_train_lmdb" / "data.mdb").is_file():
            raise InputError(
                f"{folder / f'{category}_train_lmdb'} is missing; get the category from https://github.com/fyu/lsun and unpack it there"
            )
        for part, name in ((TRAIN, "train"), (TEST, "val")):
            path = folder / f"{category}_{name}_lmdb"
            if not (path / "data.mdb").is_file():
                continue
            paths.append(path)
            keys.append(_keys(path))
            labels.append(np.full(len(keys[-1]), label, np.int64))
            split.append(np.full(len(keys[-1]), part, np.uint8))
    parts = np.concatenate(split)
    held_out = {int(label) for part, label in zip(split, labels) if part[0] == TEST for label in label[:1]}
    whole = held_out == set(range(len(dataset.categories)))  # a category without its own test images: draw all of them
    return Source(
        title=f"LSUN {', '.join(dataset.categories)} (Yu et al.)",
        licence="not stated; for research",
        classes=list(dataset.categories),
        labels=np.concatenate(labels),
        images=LmdbImages(paths, keys),
        split=parts if whole else None,
    )


def _keys(path: Path) -> np.ndarray:
    with _transaction(path) as view:
        count = view.stat()["entries"]
        keys = np.empty(count, f"S{_KEY_BYTES}")
        for place, key in enumerate(view.cursor().iternext(keys=True, values=False)):
            if len(key) > _KEY_BYTES:
                raise InputError(f"{path}: keys of {len(key)} bytes; LSUN's have at most {_KEY_BYTES}")
            keys[place] = key
    if not count:
        raise InputError(f"{path}: no images in it; unpack the category again")
    return keys


@contextmanager
def _transaction(path: Path) -> Iterator[Any]:
    import lmdb

    try:
        with (
            lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False) as environment,
            environment.begin(buffers=False) as view,
        ):
            yield view
    except lmdb.Error as error:
        raise InputError(f"{path}: damaged LMDB ({error}); unpack the category again") from error
