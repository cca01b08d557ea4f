"""A data set of the Hugging Face kind on this machine: Parquet files, or a folder made by `Dataset.save_to_disk`.

Images are a column of {bytes, path}; class names come from the features that are stored with the data.
Source: https://huggingface.co/docs/datasets, "Image" and "ClassLabel" features.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import TRAIN, BadImageError, Source
from labelmint.data.stored_images import check_size
from labelmint.data.sources.imagefolder import SPLIT_NAMES, some
from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Shard:
    """A file of `counts[i]` rows in its i-th row group (Parquet) or record batch (Arrow)."""

    path: Path
    split: int | None
    counts: list[int]


@dataclass(frozen=True)
class TableImages:
    """Cells of one column of many shards. One row group is held at a time."""

    shards: list[Shard]
    column: str
    named = False

    def name(self, index: int) -> str:
        shard, _, row = self._find(index)
        return f"{self.shards[shard].path.name}, row {row}"

    def _find(self, index: int) -> tuple[int, int, int]:
        """(shard, group, row within the shard)."""
        for number, shard in enumerate(self.shards):
            if index < sum(shard.counts):
                return number, bisect_right(np.cumsum(shard.counts).tolist(), index), index
            index -= sum(shard.counts)
        raise IndexError(index)

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        import pyarrow as pa

        held: dict[tuple[int, int], Any] = {}
        with ExitStack() as stack:
            files: dict[int, Any] = {}

            def read(index: int) -> bytes:
                number, group, row = self._find(index)
                if (number, group) not in held:
                    if number not in files:
                        files[number] = _open(self.shards[number].path, stack)
                    held.clear()
                    try:
                        held[number, group] = _group(files[number], group, self.column)
                    except (pa.ArrowException, OSError) as error:
                        raise BadImageError(
                            f"damaged in the table ({' '.join(str(error).split())[:80]})"
                        ) from error
                cell = held[number, group][row - sum(self.shards[number].counts[:group])].as_py()
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                if not isinstance(content, bytes):
                    raise BadImageError("no image in the row; save the data set with the images embedded")
                return check_size(content)

            yield read


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    import pyarrow as pa

    path = Path(str(dataset.path))
    try:
        shards, schema = _shards(path)
        features = _features(schema, path)
        column = _one(schema, features, "Image", ("image", "img"), path)
        target = _one(schema, features, "ClassLabel", ("label", "labels", "fine_label"), path)
        labels = np.concatenate([_labels(shard, target, path) for shard in shards])
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}: damaged Parquet or Arrow data ({' '.join(str(error).split())[:120]})"
        ) from error
    if not len(labels) or labels.min() < 0:
        raise InputError(f"{path}: column '{target}' holds no class numbers from 0 on")
    names = _mapping(features.get(target, {})).get("names") or [
        str(number) for number in range(_count(labels, path))
    ]
    if not isinstance(names, list):
        raise InputError(f"{path}: the names of the classes are no list")
    split = None
    if all(shard.split is not None for shard in shards) and any(shard.split == TRAIN for shard in shards):
        split = np.concatenate([np.full(sum(shard.counts), shard.split, np.uint8) for shard in shards])
    return Source(
        title=f"{dataset.name} ({path.name})",
        licence="the owner's",
        classes=[str(name) for name in names],
        labels=labels,
        images=TableImages(shards, column),
        split=split,
    )


def _count(labels: np.ndarray, path: Path) -> int:
    """Of classes, by their numbers. Raises: InputError where there are more than images."""
    count = int(labels.max()) + 1
    if count > len(labels):
        raise InputError(f"{path}: {len(labels):,} images cannot be of {count:,} classes")
    return count


def _shards(path: Path) -> tuple[list[Shard], Any]:
    """Every data file below `path`, and the schema that they share."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet")) or sorted(path.rglob("*.arrow"))
    if not files:
        raise InputError(
            f"{path}: neither Parquet nor Arrow files there; set dataset.path to a folder that has them"
        )
    shards, schemas = [], []
    with ExitStack() as stack:
        for file in files:
            opened = _open(file, stack)
            shards.append(Shard(file, _split_of(file, path), _counts(opened)))
            schemas.append(opened.schema_arrow if hasattr(opened, "schema_arrow") else opened.schema)
    different = [file.name for file, schema in zip(files, schemas) if schema.names != schemas[0].names]
    if different:
        raise InputError(
            f"{path}: {some(different)} has other columns than {files[0].name}; keep one data set a folder"
        )
    order = sorted(range(len(shards)), key=lambda number: (shards[number].split or 0, number))
    return [shards[number] for number in order], schemas[0]


def _split_of(file: Path, root: Path) -> int | None:
    """From the folder (save_to_disk) or the beginning of the file's name (train-00000-of-00002.parquet)."""
    parts = (
        [*file.relative_to(root).parts[:-1], file.stem.split("-")[0]]
        if file != root
        else [file.stem.split("-")[0]]
    )
    return next((SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES), None)


def _open(path: Path, stack: ExitStack) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".arrow":
        mapped = stack.enter_context(pa.memory_map(str(path)))
        try:
            return pa.ipc.open_file(mapped)
        except pa.ArrowInvalid:  # `datasets` writes the stream format
            return pa.ipc.open_stream(mapped).read_all()
    return stack.enter_context(pq.ParquetFile(path))


def _counts(opened: Any) -> list[int]:
    if hasattr(opened, "num_row_groups"):
        return [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
    if hasattr(opened, "num_record_batches"):
        return [opened.get_batch(number).num_rows for number in range(opened.num_record_batches)]
    return [opened.num_rows]


def _group(opened: Any, group: int, column: str) -> Any:
    """One column of one row group."""
    if hasattr(opened, "num_row_groups"):
        return opened.read_row_group(group, columns=[column]).column(column)
    if hasattr(opened, "num_record_batches"):
        return opened.get_batch(group).column(column)
    return opened.column(column)


def _labels(shard: Shard, column: str, where: Path) -> np.ndarray:
    with ExitStack() as stack:
        opened = _open(shard.path, stack)
        parts = [_group(opened, group, column).to_numpy(zero_copy_only=False) if hasattr(opened, "num_record_batches")
                 else _group(opened, group, column).to_numpy() for group in range(len(shard.counts))]  # fmt: skip
        values = np.concatenate(parts)
    if values.dtype.kind not in "iu":
        raise InputError(
            f"{where}: column '{column}' of {shard.path.name} holds {values.dtype}, expected class numbers without gaps"
        )
    return values.astype(np.int64)


def _features(schema: Any, path: Path) -> dict[str, dict[str, Any]]:
    """What `datasets` wrote of its columns: in the schema's metadata, or in dataset_info.json."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        if stored:
            return _mapping(_mapping(_mapping(json.loads(stored)).get("info", {})).get("features", {}))
        for file in sorted(path.rglob("dataset_info.json")) if path.is_dir() else []:
            return _mapping(_mapping(json.loads(file.read_text())).get("features", {}))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: what `datasets` wrote of its columns cannot be read ({error}); save it again"
        ) from error
    return {}


def _mapping(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"{type(content).__name__} where names and values were expected")
    return content


def _one(schema: Any, features: dict[str, Any], kind: str, usual: tuple[str, ...], path: Path) -> str:
    """The column of a feature type, or of a usual name."""
    typed = [
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == kind
    ]
    for name in [*(name for name in usual if name in typed), *typed, *usual]:
        if name in schema.names:
            return name
    raise InputError(f"{path}: no {kind} column among {', '.join(schema.names)}; name it '{usual[0]}'")
