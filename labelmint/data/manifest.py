"""dataset.json, what later stages need to know; and manifest.json, where every image came from.

Lists of a million numbers are written piece by piece, so that memory stays bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from labelmint.data.convert import Converted
from labelmint.data.duplicates import Duplicates
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, VALIDATION, BadImages, Source
from labelmint.data.storage.splits import subset
from labelmint.runtime.atomic_files import save_json

_PIECE = 10_000


@dataclass(frozen=True)
class Told:
    """All that `prepare` learned. Per split: rows of the source, which of them are kept, and the labels of those."""

    source: Source
    dataset: Dataset
    rows: list[np.ndarray]
    kept: list[np.ndarray]
    labels: list[np.ndarray]
    converted: list[Converted]
    doubles: Duplicates
    bad: BadImages


def save(work: Path, told: Told, percents: list[int], seeds: list[int]) -> None:
    """Write both files below work/facts."""
    source, dataset = told.source, told.dataset
    # What later stages need to know. It does not name percents or seeds, so that a new one changes nothing here.
    facts = {
        "name": dataset.name,
        "title": source.title,
        "licence": source.licence,
        "classes": source.classes,
        "labels": "multi_hot" if dataset.multi_hot else "single",
        "mirror": mirrored(source, dataset),
        "shape": [dataset.channels, dataset.image_size, dataset.image_size],
        "n_train": len(told.labels[TRAIN]),
        "n_validation": len(told.labels[VALIDATION]),
        "n_test": len(told.labels[TEST]),
    }
    save_json(work / "facts" / "dataset.json", facts)
    preprocessing = asdict(dataset) | {
        "resize": "antialiased; a JPEG over 6 times too large is decoded at reduced scale"
    }
    head = {
        **facts,
        "checksums": source.checksums,
        "notes": source.notes,
        "preprocessing": preprocessing,
        "duplicates": told.doubles.described,
        "bad_images": [{"image": name, "reason": reason} for name, reason in told.bad],
    }
    with (work / "facts" / "manifest.json").open("w") as file:
        _open_object(file, head)
        for part, name in enumerate(SPLITS):
            places = told.rows[part][told.kept[part]]
            lists: dict[str, Iterable[Any]] = {
                "source_index": map(int, places),
                "sha256_16": (f"{value:016x}" for value in told.converted[part].hashes[told.kept[part]].tolist()),
            }
            if source.images.named:
                lists["source_name"] = (source.images.name(int(place)) for place in places)
            file.write(f',\n "{name}": ')
            _write_lists(file, lists)
        file.write(',\n "subsets": {')
        for number, seed in enumerate(seeds):
            file.write(f'{"," if number else ""}\n  "{seed}": ')
            own = ((str(percent), map(int, subset(told.labels[TRAIN], percent, seed))) for percent in sorted(percents))
            _write_lists(file, dict(own))
        file.write("\n }\n}\n")


def mirrored(source: Source, dataset: Dataset) -> list[bool]:
    """Per class, whether its images may be flipped. Raises: InputError for a class that is not there."""
    from labelmint.runtime.errors import InputError

    if isinstance(dataset.mirror, str):
        return [dataset.mirror == "all"] * len(source.classes)
    if unknown := [name for name in dataset.mirror if name not in source.classes]:
        raise InputError(f"dataset.mirror: no class '{unknown[0]}'; there are {', '.join(source.classes[:20])}")
    return [name in dataset.mirror for name in source.classes]


def _open_object(file: IO[str], content: dict[str, Any]) -> None:
    """All of an object but its closing brace."""
    file.write(json.dumps(content, indent=1, allow_nan=False).rstrip("}").rstrip())


def _write_lists(file: IO[str], lists: dict[str, Iterable[Any]]) -> None:
    file.write("{")
    for number, (name, values) in enumerate(lists.items()):
        file.write(f"{',' if number else ''}\n  {json.dumps(name)}: [")
        for count, piece in enumerate(_pieces(values)):
            file.write(("," if count else "") + json.dumps(piece)[1:-1])
        file.write("]")
    file.write("\n }")


def _pieces(values: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(values)
    while piece := list(islice(iterator, _PIECE)):
        yield piece
