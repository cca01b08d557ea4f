"""Reader of local Hugging Face data sets: Parquet files, or a folder made by `Dataset.save_to_disk`.

Images are a column of {bytes, path}. Class names come from the features that are stored with the data.
Source: https://huggingface.co/docs/datasets, "Image" and "ClassLabel" features.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import TRAIN, BadImageError, Source
from labelmint.data.sources.imagefolder import SPLIT_NAMES
from labelmint.data.stored_images import check_size
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened


@dataclass(frozen=True)
class Shard:
    """A data file. group_sizes: rows of each row group (Parquet) or record batch (Arrow)."""

    path: Path
    split: int | None
    group_sizes: list[int]


@dataclass(frozen=True)
class TableImages:
    """Cells of one column of many shards. One row group is in memory at a time."""

    shards: list[Shard]
    column: str
    named = False

    def name(self, index: int) -> str:
        number, position = _locate(index, [sum(shard.group_sizes) for shard in self.shards])
        return f"{self.shards[number].path.name}, row {position}"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        import pyarrow as pa

        loaded: dict[tuple[int, int], Any] = {}
        sizes = [sum(shard.group_sizes) for shard in self.shards]
        with ExitStack() as stack:
            files: dict[int, Any] = {}

            def read(index: int) -> bytes:
                number, position = _locate(index, sizes)
                group, row = _locate(position, self.shards[number].group_sizes)
                if (number, group) not in loaded:
                    if number not in files:
                        files[number] = _open(self.shards[number].path, stack)
                    loaded.clear()
                    try:
                        loaded[number, group] = _read_group(files[number], group, self.column)
                    except (pa.ArrowException, OSError) as error:
                        reason = " ".join(str(error).split())[:80]
                        raise BadImageError(f"damaged in the table ({reason})") from error
                cell = loaded[number, group][row].as_py()
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                if not isinstance(content, bytes):
                    raise BadImageError("no image in the row; save the data set with embedded images")
                return check_size(content)

            yield read


def _locate(index: int, sizes: list[int]) -> tuple[int, int]:
    """(number of the part, position in it) of element `index` in consecutive parts of these sizes."""
    starts = list(accumulate(sizes, initial=0))
    if index >= starts[-1]:
        raise IndexError(index)
    number = bisect_right(starts, index) - 1
    return number, index - starts[number]


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    import pyarrow as pa

    path = Path(str(dataset.path))
    try:
        shards, schema = _find_shards(path)
        features = _features(schema, path)
        column = _find_column(schema, features, "Image", ("image", "img"), path)
        target = _find_column(schema, features, "ClassLabel", ("label", "labels", "fine_label"), path)
        labels = np.concatenate([_read_labels(shard, target, path) for shard in shards])
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: damaged Parquet or Arrow data ({reason}); save it again") from error
    if not len(labels) or labels.min() < 0:
        raise InputError(f"{path}: column '{target}' has no class numbers, expected 0, 1, …; save it again")
    feature = features.get(target)
    names = feature.get("names") if isinstance(feature, dict) else None
    names = names or [str(number) for number in range(_count_classes(labels, path))]
    if not isinstance(names, list):
        raise InputError(f"{path}: the class names are not a list; save it again")
    split = None
    if all(shard.split is not None for shard in shards) and any(shard.split == TRAIN for shard in shards):
        split = np.concatenate([np.full(sum(shard.group_sizes), shard.split, np.uint8) for shard in shards])
    return Source(
        title=f"{dataset.name} ({path.name})",
        licence="the owner's",
        classes=[str(name) for name in names],
        labels=labels,
        images=TableImages(shards, column),
        split=split,
    )


def _count_classes(labels: np.ndarray, path: Path) -> int:
    """Number of classes by the highest label. Raises: InputError where there are more classes than images."""
    count = int(labels.max()) + 1
    if count > len(labels):
        raise InputError(f"{path}: {count:,} classes but only {len(labels):,} images; check the labels")
    return count


def _find_shards(path: Path) -> tuple[list[Shard], Any]:
    """All data files below `path`, ordered by split, and their schema. Raises: InputError."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet")) or sorted(path.rglob("*.arrow"))
    if not files:
        raise InputError(
            f"{path}: no Parquet or Arrow files there; set dataset.path to a folder that has them"
        )
    shards, schemas = [], []
    with ExitStack() as stack:
        for file in files:
            opened = _open(file, stack)
            shards.append(Shard(file, _split_of(file, path), _group_sizes(opened)))
            schemas.append(opened.schema_arrow if hasattr(opened, "schema_arrow") else opened.schema)
    different = [file.name for file, schema in zip(files, schemas) if schema.names != schemas[0].names]
    if different:
        raise InputError(
            f"{path}: {shortened(different)} has other columns than {files[0].name}; "
            "keep one data set per folder"
        )
    order = sorted(range(len(shards)), key=lambda number: (shards[number].split or 0, number))
    return [shards[number] for number in order], schemas[0]


def _split_of(file: Path, root: Path) -> int | None:
    """Split by the folder (save_to_disk) or the start of the file name (train-00000-of-00002.parquet)."""
    folders = file.relative_to(root).parts[:-1] if file != root else ()
    parts = [part.lower() for part in (*folders, file.stem.split("-")[0])]
    return next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), None)


def _open(path: Path, stack: ExitStack) -> Any:
    """A ParquetFile, an Arrow RecordBatchFileReader, or a Table for Arrow's stream format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".arrow":
        mapped = stack.enter_context(pa.memory_map(str(path)))
        try:
            return pa.ipc.open_file(mapped)
        except pa.ArrowInvalid:  # `datasets` writes the stream format
            return pa.ipc.open_stream(mapped).read_all()
    return stack.enter_context(pq.ParquetFile(path))


def _group_sizes(opened: Any) -> list[int]:
    if hasattr(opened, "num_row_groups"):
        return [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
    if hasattr(opened, "num_record_batches"):
        return [opened.get_batch(number).num_rows for number in range(opened.num_record_batches)]
    return [opened.num_rows]


def _read_group(opened: Any, group: int, column: str) -> Any:
    """One column of one row group."""
    if hasattr(opened, "num_row_groups"):
        return opened.read_row_group(group, columns=[column]).column(column)
    if hasattr(opened, "num_record_batches"):
        return opened.get_batch(group).column(column)
    return opened.column(column)


def _read_labels(shard: Shard, column: str, where: Path) -> np.ndarray:
    """Labels of a shard, int64 (N,). Raises: InputError."""
    with ExitStack() as stack:
        opened = _open(shard.path, stack)
        # Record batches have plain arrays, which refuse to copy unless asked; the others have chunked ones.
        options = {"zero_copy_only": False} if hasattr(opened, "num_record_batches") else {}
        groups = range(len(shard.group_sizes))
        values = np.concatenate([_read_group(opened, group, column).to_numpy(**options) for group in groups])
    if values.dtype.kind not in "iu":
        raise InputError(
            f"{where}: column '{column}' of {shard.path.name} is {values.dtype}, "
            "expected class numbers without gaps; save it again"
        )
    return values.astype(np.int64)


def _features(schema: Any, path: Path) -> dict[str, Any]:
    """Column descriptions that `datasets` wrote in the schema's metadata or in dataset_info.json, else {}."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        if stored:
            return _mapping(_mapping(_mapping(json.loads(stored)).get("info", {})).get("features", {}))
        for file in sorted(path.rglob("dataset_info.json")) if path.is_dir() else []:
            return _mapping(_mapping(json.loads(file.read_text(encoding="utf-8"))).get("features", {}))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: the column descriptions of `datasets` cannot be read ({error}); save it again"
        ) from error
    return {}


def _mapping(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"expected an object, got {type(content).__name__}")
    return content


def _find_column(
    schema: Any, features: dict[str, Any], feature_type: str, usual: tuple[str, ...], path: Path
) -> str:
    """Name of the column that has the feature type, or a usual name. Raises: InputError."""
    typed = [
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == feature_type
    ]
    for name in [*(name for name in usual if name in typed), *typed, *usual]:
        if name in schema.names:
            return name
    raise InputError(
        f"{path}: no {feature_type} column among {', '.join(schema.names)}; name it '{usual[0]}'"
    )
