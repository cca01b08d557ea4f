"""Members of an untrusted archive, and the sizes and errors that are refused."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from labelmint.data.stored_images import DAMAGED, MAX_BYTES
from labelmint.runtime.errors import InputError

_MAX_RATIO = 200  # bytes per compressed byte
_FREE_BYTES = 1 << 30  # a tar may decompress to this size at any ratio


@dataclass(frozen=True)
class Member:
    """A regular file of an archive.

    name: relative, with /. key: its number among the members of a zip, its offset in bytes in a tar.
    """

    name: str
    size: int
    key: int


@dataclass(frozen=True)
class Listing:
    """Content of an archive. path: file to read from, for a compressed tar the decompressed one in scratch.

    folders: names of all folders.
    """

    path: Path
    members: list[Member]
    folders: list[str]


def is_damage(error: Exception) -> bool:
    """True if an error of the standard library is about an archive's bytes, False if it is about the disk."""
    # Some damage raises OSError: bz2 and gzip without a number, zip when an offset points before the file.
    return error.errno in (None, errno.EINVAL) if isinstance(error, OSError) else isinstance(error, DAMAGED)


def refuse_bomb(path: Path, name: str, size: int, compressed: int, whole_archive: bool = False) -> None:
    """Check that `compressed` bytes of `path` do not decompress to an unreasonable `size`.

    whole_archive: the sizes are those of the archive, not of one member. Raises: InputError.
    """
    harmless = _FREE_BYTES if whole_archive else MAX_BYTES // 16
    if size > harmless and size > _MAX_RATIO * max(compressed, 1):
        raise InputError(
            f"{path}: {name!r} swells from {compressed:,} to {size:,} bytes or more, as a bomb does; refused"
        )
