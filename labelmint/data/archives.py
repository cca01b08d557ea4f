"""Untrusted zip and tar archives: listed and read in place.

No member is extracted under a name that the archive chose. Links, devices, names outside of the archive's
folder, and archives that decompress to an unreasonable size are refused.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from labelmint.data.archive_members import Listing, Member, is_damage
from labelmint.data.file_names import check_distinct
from labelmint.data.stored_images import DAMAGED, TarImages, ZipImages
from labelmint.data.tars import decompressed_tar, list_tar
from labelmint.data.zips import is_zip, list_zip
from labelmint.runtime.errors import InputError

_UNREADABLE = {
    b"Rar!": "a RAR archive; unpack it and give the folder",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it and give the folder",
    b"(\xb5/\xfd": "compressed by Zstandard; unpack it and give the folder",
    b"PK": "a zip without its end; fetch it again, or join its parts: `zip -s 0 FIRST.zip --out whole.zip`",
}
"""What a file is that begins with these bytes, and is neither a complete zip nor a tar."""


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, also a damaged one or one of another kind, which listing it reports."""
    try:
        return path.is_file() and (is_zip(path) or bool(_unreadable(path)) or tarfile.is_tarfile(path))
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        return True  # a compressed tar


def _unreadable(path: Path) -> str:
    """What an archive is that is neither a zip nor a tar, and what to do; "" for other files."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((words for signature, words in _UNREADABLE.items() if start.startswith(signature)), "")


def list_members(path: Path, scratch: Path, encoding: str | None = None) -> Listing:
    """List the regular files of a zip, tar or compressed tar.

    encoding: of names whose encoding the archive does not state; None guesses it.
    Raises: InputError, also when two members have the same name.
    """
    try:
        if is_zip(path):
            listing = list_zip(path, encoding)
        elif words := _unreadable(path):
            raise InputError(f"{path}: {words}")
        else:
            listing = list_tar(decompressed_tar(path, scratch), path, encoding)
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: damaged archive ({reason}); fetch it again") from error
    check_distinct((member.name for member in listing.members), path)
    return listing


def images_of(path: Path, members: list[Member], names: list[str]) -> TarImages | ZipImages:
    """Images of an archive's members, under the given names."""
    if is_zip(path):
        return ZipImages(path, names, [member.key for member in members])
    spans = np.array([(member.key, member.size) for member in members], np.int64).reshape(-1, 2)
    return TarImages(path, names, spans)
