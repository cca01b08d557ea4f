"""Which files of a tree are images, by their endings, and by their content where an ending says nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from mimetypes import MimeTypes
from posixpath import splitext

from labelmint.data.decode import is_image_file
from labelmint.data.reading.reading import Image, LeftOut
from labelmint.data.reading.tree import Tree, parts_of
from labelmint.data.source import BadImageError

_IMAGE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    *(".gif", ".heic", ".heif", ".avif"),  # not decoded, but what they hold is said of each
}
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,7}")  # what is counted as a kind of its own
_CLUTTER = {"__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini", "@eaDir"}
NO_IMAGES = "not images"
"""Reason to leave out files of other kinds."""
_OTHER_PICTURES = {
    *(".tga", ".psd", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
    *(".jp2", ".jxl", ".exr", ".dcm"),
}


@dataclass(frozen=True)
class Files:
    """Files of a tree, sorted by what they are. others: those that are no images, by kind."""

    images: list[Image]
    others: list[LeftOut]


def sort_files(tree: Tree) -> Files:
    """Tell images from other files. A file whose ending is unknown is opened."""
    images: list[Image] = []
    hidden: list[int] = []
    pictures: dict[str, list[int]] = defaultdict(list)
    others: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(tree.names):
        parts = parts_of(name)
        suffix = splitext(parts[-1])[1].lower()
        if _is_clutter(parts):
            hidden.append(index)
        elif suffix in _IMAGE_SUFFIXES:
            images.append(Image(index, parts))
        elif _is_picture(suffix):
            pictures[suffix].append(index)
        elif _is_known(suffix) or not _has_image(tree, index):
            others[suffix if _SUFFIX.fullmatch(suffix) else ""].append(index)
        else:
            images.append(Image(index, parts))
    images.sort(key=lambda image: image.parts)  # file systems list in any order
    left_out = [
        LeftOut("file", suffix, "images of a kind that is not read; convert them, e.g. to PNG", rows)
        for suffix, rows in sorted(pictures.items())
    ]
    left_out += [
        LeftOut("file", suffix or "without a known ending", NO_IMAGES, rows)
        for suffix, rows in sorted(others.items())
    ]
    if hidden:
        left_out.append(LeftOut("file", "of the system or hidden", "not looked at", hidden))
    return Files(images, left_out)


def is_hidden(folder: str) -> bool:
    """Whether a folder is hidden, or one that a system makes, or below one."""
    return _is_clutter(parts_of(folder))


def _is_clutter(parts: tuple[str, ...]) -> bool:
    return not _CLUTTER.isdisjoint(parts) or any(part.startswith(".") for part in parts)


def _is_picture(suffix: str) -> bool:
    return suffix in _OTHER_PICTURES or (_type_of(suffix) or "").startswith("image/")


def _is_known(suffix: str) -> bool:
    return _type_of(suffix) is not None


@cache
def _type_of(suffix: str) -> str | None:
    """MIME type or encoding by the standard library's own table, so that all machines read alike."""
    kind, encoding = MimeTypes().guess_type(f"x{suffix}")
    return kind or encoding


def _has_image(tree: Tree, index: int) -> bool:
    try:
        return is_image_file(tree.content(index))
    except BadImageError:  # it cannot be read
        return False
