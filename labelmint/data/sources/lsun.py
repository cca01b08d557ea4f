"""Reader of LSUN: scenes by category, one LMDB each, whose values are encoded images.

Source: Yu et al. 2015, https://github.com/fyu/lsun. `<category>_train_lmdb` and, where present,
`<category>_val_lmdb` are in data/raw/lsun (or dataset.path), unpacked from the published zips.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, BadImageError, Source, source_folder
from labelmint.data.stored_images import check_size
from labelmint.runtime.errors import InputError

_KEY_BYTES = 40  # keys are SHA-1 sums in hex; an array of them takes far less memory than a list


@dataclass(frozen=True)
class LmdbImages:
    """Values of several LMDBs, one after the other. keys: an array of bytes (N,) for each."""

    paths: list[Path]
    keys: list[np.ndarray]
    named = False

    def name(self, index: int) -> str:
        number, position = self._find(index)
        return f"{self.paths[number].name}, key {self.keys[number][position].decode('ascii', 'replace')}"

    def _find(self, index: int) -> tuple[int, int]:
        """(number of the LMDB, position in it)."""
        starts = list(accumulate(map(len, self.keys), initial=0))
        number = bisect_right(starts, index) - 1
        return number, index - starts[number]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with ExitStack() as stack:
            transactions = [stack.enter_context(_transaction(path)) for path in self.paths]

            def read(index: int) -> bytes:
                number, position = self._find(index)
                content = transactions[number].get(bytes(self.keys[number][position]))
                if content is None:
                    raise BadImageError("its key is no longer in the LMDB")
                return check_size(content)

            yield read


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    paths, keys, labels, split = [], [], [], []
    with_test = set()
    for label, category in enumerate(dataset.categories):
        if not (folder / f"{category}_train_lmdb" / "data.mdb").is_file():
            raise InputError(
                f"{folder / f'{category}_train_lmdb'} is missing; "
                "get the category from https://github.com/fyu/lsun and unpack it there"
            )
        for part, name in ((TRAIN, "train"), (TEST, "val")):
            path = folder / f"{category}_{name}_lmdb"
            if not (path / "data.mdb").is_file():
                continue
            paths.append(path)
            keys.append(_keys(path))
            labels.append(np.full(len(keys[-1]), label, np.int64))
            split.append(np.full(len(keys[-1]), part, np.uint8))
            if part == TEST:
                with_test.add(category)
    return Source(
        title=f"LSUN {', '.join(dataset.categories)} (Yu et al.)",
        licence="not stated; for research",
        classes=list(dataset.categories),
        labels=np.concatenate(labels),
        images=LmdbImages(paths, keys),
        # A category without test images of its own: `prepare` draws the split of all categories.
        split=np.concatenate(split) if with_test == set(dataset.categories) else None,
    )


def _keys(path: Path) -> np.ndarray:
    """Keys of an LMDB, bytes (N,), N > 0. Raises: InputError."""
    with _transaction(path) as transaction:
        keys = np.empty(transaction.stat()["entries"], f"S{_KEY_BYTES}")
        for index, key in enumerate(transaction.cursor().iternext(keys=True, values=False)):
            if len(key) > _KEY_BYTES:
                raise InputError(
                    f"{path}: has keys of {len(key)} bytes, LSUN's have at most {_KEY_BYTES}; "
                    "unpack the category again"
                )
            keys[index] = key
    if not len(keys):
        raise InputError(f"{path}: contains no images; unpack the category again")
    return keys


@contextmanager
def _transaction(path: Path) -> Iterator[Any]:
    """A read-only transaction. Raises: InputError when the LMDB is damaged."""
    import lmdb

    try:
        with (
            lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False) as environment,
            environment.begin(buffers=False) as transaction,
        ):
            yield transaction
    except lmdb.Error as error:
        raise InputError(f"{path}: damaged LMDB ({error}); unpack the category again") from error
