"""Small image trees and archives of them, as a user may bring them."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image

from labelmint.data.reading import tree as reading
from labelmint.data.stored_images import NamedImages

MINE: dict[str, Any] = {"name": "mine", "format": "imagefolder", "image_size": 8, "channels": 3}
"""Settings of `dataset` for a tree; `path` is missing."""

Tree = dict[str, bytes]
"""Contents by relative file name."""

TarMode = Literal["w", "w:gz", "w:bz2", "w:xz"]


def encoded(
    seed: int = 0, kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (12, 10), **options: Any
) -> bytes:
    """An image file of noise. size: width and height in pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that declares a size but has almost no content."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def good_tree(classes: tuple[str, ...] = ("cat", "dog"), count: int = 6, above: str = "") -> Tree:
    """`count` different images for each class. above: outer folders, ending in /."""
    return {
        f"{above}{name}/{number}.png": encoded(100 * index + number + 10_000 * len(above))
        for index, name in enumerate(classes)
        for number in range(count)
    }


def in_folder(root: Path, tree: Tree) -> Path:
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def in_zip(path: Path, tree: Tree) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return path


def in_tar(path: Path, tree: Tree, mode: TarMode = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in tree.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


PACKERS: dict[str, Callable[[Path, Tree], Path]] = {
    "folder": lambda folder, tree: in_folder(folder / "tree", tree),
    "zip": lambda folder, tree: in_zip(folder / "tree.zip", tree),
    "tar": lambda folder, tree: in_tar(folder / "tree.tar", tree),
    "tar.gz": lambda folder, tree: in_tar(folder / "tree.tar.gz", tree, "w:gz"),
    "tar.xz": lambda folder, tree: in_tar(folder / "tree.tar.xz", tree, "w:xz"),
}
"""Each writes a tree into a folder and returns the path to read."""


def smooth_images(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Different images that are smooth, as photographs are: uint8 (count, 3, size, size)."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    large = [
        np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC)) for each in small
    ]
    return np.stack(large).transpose(0, 3, 1, 2)


def in_raw_zip(path: Path, tree: dict[bytes, bytes], method: int = 0, extra: bytes = b"") -> Path:
    """A zip whose names are stored as they are, without saying in which encoding.

    method: compression method that is declared. extra: extra field of each member.
    """
    local, central = b"", b""
    for name, content in tree.items():
        sizes = (zlib.crc32(content), len(content), len(content), len(name), len(extra))
        common = struct.pack("<HHHHIIIHH", 0, method, 0, 33, *sizes)
        offset = len(local)
        local += b"PK\x03\x04" + struct.pack("<H", 20) + common + name + extra + content
        rest = struct.pack("<HHHII", 0, 0, 0, 0, offset)
        central += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common + rest + name + extra
    count = len(tree)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(central), len(local), 0)
    path.write_bytes(local + central + b"PK\x05\x06" + end)
    return path


@dataclass(frozen=True)
class _MemoryImages(NamedImages):
    names: list[str]
    contents: list[bytes]

    @contextmanager
    def open(self) -> Iterator[Callable[[int], bytes]]:
        yield self.contents.__getitem__


def in_memory(tree: Tree | Iterable[str], folders: Iterable[str] = ()) -> reading.Tree:
    """A tree as the readers see it. Files that are only named are empty. folders: without files."""
    content = tree if isinstance(tree, dict) else dict.fromkeys(tree, b"")
    names = list(content)
    parents = {str(path) for name in names for path in PurePosixPath(name).parents if path.name}
    return reading.Tree(
        names,
        sorted(parents | set(folders)),
        lambda rows: _MemoryImages([names[row] for row in rows], [content[names[row]] for row in rows]),
    )
