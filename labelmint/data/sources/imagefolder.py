"""A person's own images: one folder per class, as a directory, a zip or a tar, with or without train and test above."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISLNK, S_ISREG

import numpy as np

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION, Source
from labelmint.data.stored_images import FolderImages
from labelmint.runtime.errors import InputError

_IMAGES = {
    "",
    *[".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif"],
}
_CLUTTER = {"__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini", "@eaDir"}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}


@dataclass(frozen=True)
class Entry:
    """One image: its split (None where the tree has none), its class, its file's name below the class, and its
    position in the listing."""

    split: int | None
    label: str
    file: str
    position: int


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    path = Path(str(dataset.path))
    sums = {f"{path.name} (sha256)": check_sha256(path, dataset.sha256)} if dataset.sha256 else {}
    return replace(read_from(path, dataset.name, scratch), checksums=sums)


def read_from(path: Path, name: str, scratch: Path) -> Source:
    """path: a folder, or a zip or tar archive. Raises: InputError."""
    if path.is_dir():
        names, folders = list_folder(path)
        entries, others = arrange(names, folders, path)
        images = FolderImages(path, [names[entry.position] for entry in entries])
    elif is_archive(path):
        listing = list_members(path, scratch)
        entries, others = arrange([member.name for member in listing.members], listing.folders, path)
        chosen = [listing.members[entry.position] for entry in entries]
        images = images_of(listing.path, chosen, [member.name for member in chosen])
    elif path.exists():
        raise InputError(f"{path}: neither a folder nor a zip or tar archive")
    else:
        raise InputError(f"{path} does not exist; give the folder or archive that holds the images")
    classes = class_names(entries, path)
    number = {label: place for place, label in enumerate(classes)}
    return Source(
        title=f"{name} ({path.name})",
        licence="the owner's",
        classes=classes,
        labels=np.array([number[entry.label] for entry in entries], np.int64),
        images=images,
        split=None if entries[0].split is None else np.array([entry.split for entry in entries], np.uint8),
        notes=[f"{others:,} files that are not images were left out"] if others else [],
    )


def below_class(name: str, label: str) -> str:
    """What follows the class folder in a name."""
    parts = PurePosixPath(unicodedata.normalize("NFC", name)).parts
    return "/".join(parts[parts.index(label) + 1 :])


def check_sha256(path: Path, expected: str) -> str:
    if not path.is_file():
        raise InputError(f"{path} is missing; run `labelmint import` again, or remove dataset.sha256 to read a folder")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: checksum is {found[:16]}…, but dataset.sha256 is {expected[:16]}…; the file changed, run `labelmint import` again"
        )
    return found


def list_folder(root: Path) -> tuple[list[str], list[str]]:
    """Relative names of files and of folders, with /. Raises: InputError at a link that leads out of the folder, and at what is no file."""
    inside, files, folders = Path(os.path.realpath(root)), [], []
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in [*subfolders, *names]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if S_ISLNK(mode):
                if not (Path(os.path.realpath(path)).is_relative_to(inside) and os.path.isfile(path)):
                    raise InputError(
                        f"{path} is a link that leads out of {root}, to a folder, or nowhere; put the files themselves there"
                    )
            elif not S_ISREG(mode) and not S_ISDIR(mode):
                raise InputError(f"{path} is a pipe, socket or device; remove it")
        relative = Path(folder).relative_to(root)
        files += [(relative / name).as_posix() for name in names]
        folders += [(relative / name).as_posix() for name in subfolders]
    return files, folders


def arrange(names: list[str], folders: list[str], where: Path) -> tuple[list[Entry], int]:
    """Find class and split of each image in the names alone.

    Returns: entries in a stable order (split, class, file), and how many other files were passed over.
    Raises: InputError when there is no image, one outside of a class folder, or a class folder without images.
    """
    paths = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in names]
    tidy = [place for place, path in enumerate(paths) if not _clutter(path)]
    chosen = [place for place in tidy if paths[place].suffix.lower() in _IMAGES]
    if not chosen:
        raise InputError(f"{where}: no images in it (PNG, JPEG, BMP, WebP or TIFF, in one folder per class)")
    parts = {place: paths[place].parts for place in chosen}
    depth = _wrappers(list(parts.values()))
    loose = [str(paths[place]) for place in chosen if len(parts[place]) < depth + 2]
    if loose:
        raise InputError(
            f"{where}: {some(loose)} outside of a class folder; put each image into the folder of its class"
        )
    nested = all(len(part) >= depth + 3 and part[depth].lower() in SPLIT_NAMES for part in parts.values()) and any(
        SPLIT_NAMES[part[depth].lower()] == TRAIN for part in parts.values()
    )
    at = depth + nested
    entries = [
        Entry(
            SPLIT_NAMES[part[depth].lower()] if nested else None,
            part[at],
            "/".join(part[at + 1 :]),
            place,
        )
        for place, part in parts.items()
    ]
    entries.sort(key=lambda entry: (entry.split or 0, entry.label, entry.file))
    prefixes = {part[: at + 1] for part in parts.values()}
    cleaned = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in folders]
    empty = [
        str(path) for path in cleaned if len(path.parts) == at + 1 and not _clutter(path) and path.parts not in prefixes
    ]
    if empty:
        raise InputError(f"{where}: no images in class folder {some(empty)}; add images or remove the folder")
    return entries, len(tidy) - len(chosen)


def class_names(entries: list[Entry], where: Path) -> list[str]:
    """Sorted. Raises: InputError when two differ by case alone, or a class has no training image."""
    names = sorted({entry.label for entry in entries})
    folded = Counter(name.casefold() for name in names)
    if alike := [name for name in names if folded[name.casefold()] > 1]:
        raise InputError(f"{where}: classes {some(alike)} differ in case only; rename one")
    trained = {entry.label for entry in entries if entry.split in (None, TRAIN)}
    if missing := [name for name in names if name not in trained]:
        raise InputError(f"{where}: class {some(missing)} has no training images; add some or remove it")
    return names


def some(names: list[str], most: int = 3) -> str:
    """'a, b, c and 7 more': a message stays one line whatever it is about."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def _clutter(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in _CLUTTER for part in path.parts)


def _wrappers(parts: list[tuple[str, ...]]) -> int:
    """How many outer folders hold everything and so name neither class nor split."""
    depth = 0
    while (
        len({part[: depth + 1] for part in parts}) == 1
        and min(map(len, parts)) >= depth + 3
        and parts[0][depth].lower() not in SPLIT_NAMES
    ):
        depth += 1
    return depth
