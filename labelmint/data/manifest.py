"""Metadata of a prepared data set: dataset.json for later stages, manifest.json with the images' origins.

Lists of a million numbers are written in pieces, so that memory stays bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any

from labelmint.data.preparation import Prepared
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLITS, TEST, TRAIN, VALIDATION, Source
from labelmint.data.storage.splits import subset
from labelmint.runtime.atomic_files import save_json
from labelmint.runtime.errors import InputError

_PIECE = 10_000


def save(folder: Path, prepared: Prepared, percents: list[int], seeds: list[int]) -> None:
    """Write both files into `folder`. The manifest lists the subset of each of `percents` and `seeds`."""
    source, dataset = prepared.source, prepared.dataset
    # Later stages read these. They do not contain percents or seeds, so that a new one makes nothing stale.
    facts: dict[str, Any] = {
        "name": dataset.name,
        "title": source.title,
        "licence": source.licence,
        "classes": source.classes,
        "labels": "multi_hot" if dataset.multi_hot else "single",
        "mirror": mirrored_classes(source, dataset),
        "shape": [dataset.channels, dataset.image_size, dataset.image_size],
        "n_train": len(prepared.labels[TRAIN]),
        "n_validation": len(prepared.labels[VALIDATION]),
        "n_test": len(prepared.labels[TEST]),
    }
    if dataset.bit_depth is not None:
        facts["bit_depth"] = dataset.bit_depth
    save_json(folder / "dataset.json", facts)
    preprocessing = asdict(dataset) | {
        "resize": "antialiased; a JPEG over 6 times too large is decoded at reduced scale"
    }
    head = {
        **facts,
        "checksums": source.checksums,
        "notes": source.notes,
        "reading": source.reading,
        "preprocessing": preprocessing,
        "duplicates": prepared.duplicates.described,
        "bad_images": [{"image": name, "reason": reason} for name, reason in prepared.bad],
    }
    with (folder / "manifest.json").open("w", encoding="utf-8") as file:
        _open_object(file, head)
        for part, name in enumerate(SPLITS):
            kept = prepared.kept[part]
            positions = prepared.rows[part][kept]
            lists: dict[str, Iterable[Any]] = {
                "source_index": map(int, positions),
                "sha256_16": (f"{value:016x}" for value in prepared.converted[part].hashes[kept].tolist()),
            }
            if source.images.named:
                lists["source_name"] = (source.images.name(int(position)) for position in positions)
            file.write(f',\n "{name}": ')
            _write_lists(file, lists)
        file.write(',\n "subsets": {')
        labels = prepared.labels[TRAIN]
        for number, seed in enumerate(seeds):
            file.write(f'{"," if number else ""}\n  "{seed}": ')
            subsets = (
                (str(percent), map(int, subset(labels, percent, seed))) for percent in sorted(percents)
            )
            _write_lists(file, dict(subsets))
        file.write("\n }\n}\n")


def mirrored_classes(source: Source, dataset: Dataset) -> list[bool]:
    """Whether images of each class may be flipped. Raises: InputError for an unknown class."""
    if isinstance(dataset.mirror, str):
        return [dataset.mirror == "all"] * len(source.classes)
    if unknown := [name for name in dataset.mirror if name not in source.classes]:
        raise InputError(
            f"dataset.mirror: no class '{unknown[0]}'; there are {', '.join(source.classes[:20])}"
        )
    return [name in dataset.mirror for name in source.classes]


def _open_object(file: IO[str], content: dict[str, Any]) -> None:
    """Write an object without its closing brace."""
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
