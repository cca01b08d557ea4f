"""Parquet and Arrow files: their rows, and images in one of their columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.source import BadImageError
from labelmint.data.stored_images import check_size


@dataclass(frozen=True)
class TableFile:
    """A data file. group_sizes: rows of each row group (Parquet) or record batch (Arrow)."""

    path: Path
    group_sizes: list[int]
    schema: Any

    @property
    def rows(self) -> int:
        return sum(self.group_sizes)

    def values(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Values of a column, (P,), of the rows in which there is one, bool (N,)."""
        import pyarrow as pa

        kind = self.schema.field(column).type
        with ExitStack() as stack:
            opened = _open(self.path, stack)
            groups = [_read_group(opened, group, column) for group in range(len(self.group_sizes))]
            cells = pa.chunked_array(
                [part for group in groups for part in getattr(group, "chunks", [group])], kind
            )
            if pa.types.is_dictionary(kind):
                cells = cells.cast(kind.value_type)
            # Copied, since Arrow's file is unmapped at the end.
            return np.array(cells.drop_null().to_numpy()), ~cells.is_null().to_numpy()


def open_table(path: Path) -> TableFile:
    """Read sizes and schema. Raises: pyarrow.ArrowException or OSError for a damaged file."""
    with ExitStack() as stack:
        opened = _open(path, stack)
        schema = opened.schema_arrow if hasattr(opened, "schema_arrow") else opened.schema
        return TableFile(path, _group_sizes(opened), schema)


@dataclass(frozen=True)
class TableImages:
    """Cells of one column of many files. One row group is in memory at a time.

    rows: index among all rows of the files, of each image, int64 (N,).
    """

    paths: list[Path]
    group_sizes: list[list[int]]
    column: str
    rows: np.ndarray
    named = False

    def name(self, index: int) -> str:
        number, position = _locate(int(self.rows[index]), [sum(sizes) for sizes in self.group_sizes])
        return f"{self.paths[number].name}, row {position}"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        import pyarrow as pa

        loaded: dict[tuple[int, int], Any] = {}
        sizes = [sum(each) for each in self.group_sizes]
        with ExitStack() as stack:
            files: dict[int, Any] = {}

            def read(index: int) -> bytes:
                number, position = _locate(int(self.rows[index]), sizes)
                group, row = _locate(position, self.group_sizes[number])
                if (number, group) not in loaded:
                    if number not in files:
                        files[number] = _open(self.paths[number], stack)
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
