"""Storage of images: in memory, as fixed-size records, as files, in tar and zip archives.

Several processes read them at random positions at the same time.
"""

from __future__ import annotations

import gzip
import lzma
import math
import os
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import numpy as np
from PIL import Image

from labelmint.data.source import BadImageError, Images
from labelmint.data.storage.image_grid import png

MAX_BYTES = 256 << 20
"""Size limit of an image file. Networks take at most 1,024 x 1,024 pixels, so larger files are not useful."""
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    struct.error,
    IndexError,
)
"""Errors that the standard library raises for a damaged archive, or for bytes that are not an archive."""


class NamedImages:
    """Images that have names of their own, for messages and the manifest."""

    names: list[str]
    named = True

    def name(self, index: int) -> str:
        return self.names[index]


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory. array: uint8 (N, H, W) or (N, H, W, 3)."""

    array: np.ndarray
    named = False

    def name(self, index: int) -> str:
        return f"image {index}"

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        yield self.array.__getitem__


@dataclass(frozen=True)
class Block:
    """`count` records of one file: the first image starts at byte `offset`, the next `stride` bytes later."""

    path: Path
    offset: int
    stride: int
    count: int


@dataclass(frozen=True)
class RecordImages:
    """Records of one size in several files.

    shape: shape of a record as stored. layout: order of its axes; CHW is returned as HWC, and WH as HW.
    """

    blocks: list[Block]
    shape: tuple[int, ...]
    layout: Literal["HW", "WH", "HWC", "CHW"]
    named = False

    def name(self, index: int) -> str:
        starts = self._starts()
        number = bisect_right(starts, index) - 1
        return f"{self.blocks[number].path.name}, record {index - starts[number]}"

    def _starts(self) -> list[int]:
        """Index of the first image of each block, and the number of all images."""
        return list(accumulate((block.count for block in self.blocks), initial=0))

    @contextmanager
    def open(self) -> Iterator[Callable[[int], np.ndarray]]:
        size, starts = math.prod(self.shape), self._starts()
        with ExitStack() as stack:
            files = [stack.enter_context(block.path.open("rb")) for block in self.blocks]

            def read(index: int) -> np.ndarray:
                number = bisect_right(starts, index) - 1
                block = self.blocks[number]
                offset = block.offset + (index - starts[number]) * block.stride
                content = os.pread(files[number].fileno(), size, offset)
                if len(content) != size:
                    raise BadImageError(f"truncated after {len(content)} of {size} bytes")
                pixels = np.frombuffer(content, np.uint8).reshape(self.shape)
                if self.layout == "CHW":
                    return pixels.transpose(1, 2, 0)
                return pixels.T if self.layout == "WH" else pixels

            yield read


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking: opening a pipe would otherwise wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


@dataclass(frozen=True)
class FolderImages(NamedImages):
    """Files below `root`, by their relative names."""

    root: Path
    names: list[str]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        root = str(self.root)

        def read(index: int) -> bytes:
            try:
                with open(
                    os.path.join(root, self.names[index]), "rb", buffering=0, opener=_open_nonblocking
                ) as file:
                    state = os.fstat(file.fileno())
                    if not S_ISREG(state.st_mode):
                        raise BadImageError("not a regular file")
                    size = state.st_size
                    return file.read(size) if size <= MAX_BYTES else check_size(file.read(MAX_BYTES + 1))
            except OSError as error:
                raise BadImageError(f"cannot be read ({error.strerror})") from error

        yield read


@dataclass(frozen=True)
class TarImages(NamedImages):
    """Members of an uncompressed tar archive. spans: int64 (N, 2), offset and size in bytes."""

    path: Path
    names: list[str]
    spans: np.ndarray

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with self.path.open("rb") as file:

            def read(index: int) -> bytes:
                offset, size = self.spans[index].tolist()
                if size > MAX_BYTES:
                    raise BadImageError(f"{size:,} bytes; at most {MAX_BYTES:,} are read")
                return os.pread(file.fileno(), size, offset)

            yield read


@dataclass(frozen=True)
class ZipImages(NamedImages):
    """Members of a zip archive. members: numbers among all members."""

    path: Path
    names: list[str]
    members: list[int]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with zipfile.ZipFile(self.path) as archive:
            entries = archive.infolist()

            def read(index: int) -> bytes:
                try:
                    with archive.open(entries[self.members[index]]) as member:
                        content = member.read(MAX_BYTES + 1)  # a zip bomb understates its size
                except (*DAMAGED, RuntimeError, OSError) as error:  # RuntimeError: the member is encrypted
                    raise BadImageError(f"damaged in the archive ({' '.join(str(error).split())})") from error
                return check_size(content)

            yield read


@dataclass(frozen=True)
class PngImages(NamedImages):
    """Pixels of other images, encoded as PNG files. rows: index of each among `pixels`."""

    pixels: Images
    rows: list[int]
    names: list[str]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        with self.pixels.open() as read:
            yield lambda index: png(Image.fromarray(np.ascontiguousarray(read(self.rows[index]))))


def check_size(content: bytes) -> bytes:
    """Return `content`. Raises: BadImageError when it is larger than MAX_BYTES."""
    if len(content) > MAX_BYTES:
        raise BadImageError(f"more than {MAX_BYTES:,} bytes")
    return content
