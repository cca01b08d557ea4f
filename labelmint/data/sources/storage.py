"""Ways in which images are stored: in memory, as records of one size, as files, in tar and zip archives.

All but memory are read at random positions by several processes at once.
"""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import numpy as np

MOST_BYTES = 256 << 20
"""A larger file is no image for a network of at most 1,024 pixels."""
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, NotImplementedError, ValueError, OverflowError, struct.error, IndexError)  # fmt: skip
"""Whatever the standard library raises when it is fed bytes that are no archive, or a damaged one."""


class BadImage(Exception):
    """One image that cannot be used. The message says what is wrong, not where."""


@dataclass(frozen=True)
class ArrayImages:
    """array: uint8 (N, H, W) or (N, H, W, 3)."""

    array: np.ndarray
    named = False

    def name(self, index: int) -> str:
        return f"image {index}"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        yield self.array.__getitem__


@dataclass(frozen=True)
class Block:
    """`count` records of one file: the first image begins at byte `offset`, the next `stride` bytes further."""

    path: Path
    offset: int
    stride: int
    count: int


@dataclass(frozen=True)
class RecordImages:
    """shape: of one record as stored. layout: what its axes mean; CHW is turned to HWC, WH to HW."""

    blocks: list[Block]
    shape: tuple[int, ...]
    layout: Literal["HW", "WH", "CHW"]
    named = False

    def name(self, index: int) -> str:
        block, within = self._find(index)
        return f"{block.path.name}, record {within}"

    def _find(self, index: int) -> tuple[Block, int]:
        starts = np.cumsum([0, *(block.count for block in self.blocks)]).tolist()
        at = bisect_right(starts, index) - 1
        return self.blocks[at], index - starts[at]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        size = int(np.prod(self.shape))
        starts = np.cumsum([0, *(block.count for block in self.blocks)]).tolist()
        with ExitStack() as stack:
            files = [stack.enter_context(block.path.open("rb")) for block in self.blocks]

            def read(index: int) -> np.ndarray:
                at = bisect_right(starts, index) - 1
                block = self.blocks[at]
                content = os.pread(files[at].fileno(), size, block.offset + (index - starts[at]) * block.stride)
                if len(content) != size:
                    raise BadImage(f"cut after {len(content)} of {size} bytes")
                pixels = np.frombuffer(content, np.uint8).reshape(self.shape)
                if self.layout == "CHW":
                    return pixels.transpose(1, 2, 0)
                return pixels.T if self.layout == "WH" else pixels

            yield read


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody who writes: a pipe would keep its reader for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


@dataclass(frozen=True)
class FolderImages:
    """Files under `root`, by their relative names."""

    root: Path
    names: list[str]
    named = True

    def name(self, index: int) -> str:
        return self.names[index]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        root = str(self.root)

        def read(index: int) -> bytes:
            try:
                with open(os.path.join(root, self.names[index]), "rb", buffering=0, opener=_at_once) as file:
                    state = os.fstat(file.fileno())
                    if not S_ISREG(state.st_mode):
                        raise BadImage("no regular file")
                    size = state.st_size
                    return file.read(size) if size <= MOST_BYTES else small_enough(file.read(MOST_BYTES + 1))
            except OSError as error:
                raise BadImage(f"cannot be read ({error.strerror})") from error

        yield read


@dataclass(frozen=True)
class TarImages:
    """Members of an uncompressed tar. spans: int64 (N, 2), offset and size in bytes."""

    path: Path
    names: list[str]
    spans: np.ndarray
    named = True

    def name(self, index: int) -> str:
        return self.names[index]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with self.path.open("rb") as file:

            def read(index: int) -> bytes:
                offset, size = self.spans[index].tolist()
                if size > MOST_BYTES:
                    raise BadImage(f"{size:,} bytes; at most {MOST_BYTES:,} are read")
                return os.pread(file.fileno(), size, offset)

            yield read


@dataclass(frozen=True)
class ZipImages:
    path: Path
    names: list[str]
    members: list[str]
    named = True

    def name(self, index: int) -> str:
        return self.names[index]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with zipfile.ZipFile(self.path) as archive:

            def read(index: int) -> bytes:
                name = self.members[index]
                try:
                    with archive.open(name) as member:
                        content = member.read(MOST_BYTES + 1)  # a bomb declares little and gives much
                except (*DAMAGED, RuntimeError, OSError) as error:  # RuntimeError: it is encrypted
                    raise BadImage(f"damaged in the archive ({' '.join(str(error).split())})") from error
                return small_enough(content)

            yield read


def small_enough(content: bytes) -> bytes:
    if len(content) > MOST_BYTES:
        raise BadImage(f"more than {MOST_BYTES:,} bytes")
    return content
