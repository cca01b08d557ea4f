"""Files of a folder, or of a zip or tar archive."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import cast

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.data.file_names import check_text
from labelmint.data.npz_set import names_as_files, read_set
from labelmint.data.source import Images
from labelmint.data.stored_images import FolderImages, PngImages
from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Tree:
    """Files of a folder or an archive. images: those with these indices among `names`."""

    names: list[str]
    folders: list[str]
    images: Callable[[list[int]], Images]

    def content(self, index: int) -> bytes:
        """Bytes of one file. Raises: BadImageError if it cannot be read."""
        with self.images([index]).open() as read:
            return cast(bytes, read(0))


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and file of a name in a tree, normalized to NFC: the same letters have one form."""
    return tuple(unicodedata.normalize("NFC", name).split("/"))


def open_tree(path: Path, scratch: Path, encoding: str | None = None) -> Tree:
    """List a folder, or a zip or tar archive, or the images of an .npz as files. Raises: InputError.

    encoding: of an archive's names, if it does not state it; None guesses it.
    """
    if path.is_dir():
        names, folders = _list_folder(path)
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


def _list_folder(root: Path) -> tuple[list[str], list[str]]:
    """Relative names, with /, of all files and of all folders.

    Raises: InputError for a link that leads out of the folder, for pipes, sockets and devices, and for a
    folder that may not be read.
    """
    real_root, files, folders = Path(os.path.realpath(root)), [], []
    for folder, subfolders, names in os.walk(root, onerror=_refuse_unreadable):
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


def _refuse_unreadable(error: OSError) -> None:
    """Os.walk would pass over a folder that it may not read, and its images would be lost."""
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable") from error
