"""Small image trees and their archives, for tests of what a person may bring."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

MINE = {"name": "mine", "format": "imagefolder", "image_size": 8, "channels": 3}


def encoded(seed: int = 0, kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (12, 10), **options) -> bytes:
    """An image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def good_tree(classes: tuple[str, ...] = ("cat", "dog"), count: int = 6, above: str = "") -> dict[str, bytes]:
    return {
        f"{above}{name}/{number}.png": encoded(100 * place + number + 10_000 * len(above))
        for place, name in enumerate(classes)
        for number in range(count)
    }


def in_folder(root: Path, tree: dict[str, bytes]) -> Path:
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def in_zip(path: Path, tree: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return path


def in_tar(path: Path, tree: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in tree.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


PACKERS = {
    "folder": lambda folder, tree: in_folder(folder / "tree", tree),
    "zip": lambda folder, tree: in_zip(folder / "tree.zip", tree),
    "tar": lambda folder, tree: in_tar(folder / "tree.tar", tree),
    "tar.gz": lambda folder, tree: in_tar(folder / "tree.tar.gz", tree, "w:gz"),
    "tar.xz": lambda folder, tree: in_tar(folder / "tree.tar.xz", tree, "w:xz"),
}
