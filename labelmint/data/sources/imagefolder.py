"""Reader of the user's own images: one folder per class, in a directory, a zip or a tar archive.

Folders named train, validation and test may stand above the class folders.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK, S_ISREG

import numpy as np

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.data.file_names import check_text
from labelmint.data.npz_set import names_as_files, read_set
from labelmint.data.settings import Dataset
from labelmint.data.source import SPLIT_NAMES, TRAIN, Images, Source
from labelmint.data.stored_images import FolderImages, PngImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened

_IMAGE_SUFFIXES = {
    *("", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".gif", ".heic", ".heif", ".avif"),
}
_CLUTTER = {"__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini", "@eaDir"}


@dataclass(frozen=True)
class Entry:
    """One image of a tree.

    split: None where the tree has no splits. file: name below the class folder. index: in the listing.
    """

    split: int | None
    label: str
    file: str
    index: int


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    path = Path(str(dataset.path))
    checksums = {f"{path.name} (sha256)": check_sha256(path, dataset.sha256)} if dataset.sha256 else {}
    return replace(read_from(path, dataset.name, scratch, dataset.encoding), checksums=checksums)


def read_from(path: Path, name: str, scratch: Path, encoding: str | None = None) -> Source:
    """Read a folder, or a zip or tar archive, as the data set `name`. Raises: InputError."""
    tree = open_tree(path, scratch, encoding)
    entries, others = arrange(tree.names, tree.folders, path)
    images = tree.images([entry.index for entry in entries])
    classes = class_names(entries, path)
    number = {label: index for index, label in enumerate(classes)}
    return Source(
        title=f"{name} ({path.name})",
        licence="the owner's",
        classes=classes,
        labels=np.array([number[entry.label] for entry in entries], np.int64),
        images=images,
        split=None if entries[0].split is None else np.array([entry.split for entry in entries], np.uint8),
        notes=[f"ignored {others:,} files that are not images"] if others else [],
    )


@dataclass(frozen=True)
class Tree:
    """Files of a folder or an archive. images: those with these indices among `names`."""

    names: list[str]
    folders: list[str]
    images: Callable[[list[int]], Images]


def open_tree(path: Path, scratch: Path, encoding: str | None = None) -> Tree:
    """List a folder, or a zip or tar archive, or the images of an .npz as files. Raises: InputError.

    encoding: of an archive's names, if it does not state it; None guesses it.
    """
    if path.is_dir():
        names, folders = list_folder(path)
        check_text([*names, *folders], path)
        return Tree(names, folders, lambda rows: FolderImages(path, [names[row] for row in rows]))
    if path.suffix == ".npz" and path.is_file():
        pixels = read_set(path, path.stem, scratch)
        files = names_as_files(pixels)
        return Tree(files, [], lambda rows: PngImages(pixels.images, rows, [files[row] for row in rows]))
    if is_archive(path):
        listing = list_members(path, scratch, encoding)
        names = [member.name for member in listing.members]

        def images(rows: list[int]) -> Images:
            members = [listing.members[row] for row in rows]
            return images_of(listing.path, members, [member.name for member in members])

        return Tree(names, listing.folders, images)
    if path.exists():
        raise InputError(
            f"{path}: neither a folder nor a zip or tar archive; give the one that has the images"
        )
    raise InputError(f"{path} does not exist; give the folder or archive that has the images")


def name_in_class(name: str, label: str) -> str:
    """The part of an image's name below its class folder."""
    parts = PurePosixPath(unicodedata.normalize("NFC", name)).parts
    return "/".join(parts[parts.index(label) + 1 :])


def check_sha256(path: Path, expected: str) -> str:
    """Compute the SHA-256 of a file in hex. Raises: InputError when it is not `expected`."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing; run `labelmint import` again, or remove dataset.sha256 to read a folder"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: checksum is {found[:16]}…, but dataset.sha256 is {expected[:16]}…; "
            "the file changed, run `labelmint import` again"
        )
    return found


def list_folder(root: Path) -> tuple[list[str], list[str]]:
    """Relative names, with /, of all files and of all folders.

    Raises: InputError for a link that leads out of the folder, and for pipes, sockets and devices.
    """
    real_root, files, folders = Path(os.path.realpath(root)), [], []
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in [*subfolders, *names]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if S_ISLNK(mode):
                if not (Path(os.path.realpath(path)).is_relative_to(real_root) and os.path.isfile(path)):
                    raise InputError(
                        f"{path} is a link that leads out of {root}, to a folder, or nowhere; "
                        "put the files themselves there"
                    )
            elif not S_ISREG(mode) and not S_ISDIR(mode):
                raise InputError(f"{path} is a pipe, socket or device; remove it")
        relative = Path(folder).relative_to(root)
        files += [(relative / name).as_posix() for name in names]
        folders += [(relative / name).as_posix() for name in subfolders]
    return files, folders


def arrange(names: list[str], folders: list[str], where: Path) -> tuple[list[Entry], int]:
    """Derive class and split of each image from the names of files and folders. where: for messages.

    Returns: (entries, ordered by split, class and file; number of files that are not images).
    Raises: InputError when there is no image, an image outside of a class folder, or an empty class folder.
    """
    paths = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in names]
    tidy = [index for index, path in enumerate(paths) if not _is_clutter(path)]
    chosen = [index for index in tidy if _has_image_suffix(paths[index])]
    if not chosen:
        raise InputError(f"{where}: no images in it (PNG, JPEG, BMP, WebP or TIFF, in one folder per class)")
    parts = {index: paths[index].parts for index in chosen}
    depth = _outer_folders(list(parts.values()))
    loose = [str(paths[index]) for index in chosen if len(parts[index]) < depth + 2]
    if loose:
        raise InputError(
            f"{where}: {shortened(loose)} outside of a class folder; "
            "put each image into the folder of its class"
        )
    below = [
        SPLIT_NAMES.get(part[depth].lower()) if len(part) >= depth + 3 else None for part in parts.values()
    ]
    has_splits = None not in below and TRAIN in below
    class_depth = depth + has_splits
    entries = [
        Entry(split if has_splits else None, part[class_depth], "/".join(part[class_depth + 1 :]), index)
        for split, (index, part) in zip(below, parts.items())
    ]
    entries.sort(key=lambda entry: (entry.split or 0, entry.label, entry.file))
    with_images = {part[: class_depth + 1] for part in parts.values()}
    all_folders = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in folders]
    empty = [
        str(path)
        for path in all_folders
        if len(path.parts) == class_depth + 1 and not _is_clutter(path) and path.parts not in with_images
    ]
    if empty:
        raise InputError(
            f"{where}: no images in class folder {shortened(empty)}; add images or remove the folder"
        )
    return entries, len(tidy) - len(chosen)


def class_names(entries: list[Entry], where: Path) -> list[str]:
    """Sorted class names. where: for messages.

    Raises: InputError when there is one class only, two names differ in case only, or a class has no training
    image.
    """
    names = sorted({entry.label for entry in entries})
    if len(names) == 1:
        raise InputError(
            f"{where}: '{names[0]}' is the only class, and a classifier needs two; "
            "put the images of each class into a folder of its own"
        )
    folded = Counter(name.casefold() for name in names)
    if similar := [name for name in names if folded[name.casefold()] > 1]:
        raise InputError(f"{where}: classes {shortened(similar)} differ in case only; rename one")
    trained = {entry.label for entry in entries if entry.split in (None, TRAIN)}
    if missing := [name for name in names if name not in trained]:
        raise InputError(f"{where}: class {shortened(missing)} has no training images; add some or remove it")
    return names


def is_image(name: str) -> bool:
    """Whether a file is an image by its name, and none that a system has left beside them."""
    path = PurePosixPath(name)
    return _has_image_suffix(path) and not _is_clutter(path)


def _has_image_suffix(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _IMAGE_SUFFIXES


def _is_clutter(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in _CLUTTER for part in path.parts)


def _outer_folders(parts: list[tuple[str, ...]]) -> int:
    """Number of outer folders that contain all files and so name neither a class nor a split."""
    depth = 0
    while (
        len({part[: depth + 1] for part in parts}) == 1
        and min(map(len, parts)) >= depth + 3
        and parts[0][depth].lower() not in SPLIT_NAMES
    ):
        depth += 1
    return depth
