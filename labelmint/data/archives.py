"""Untrusted zip and tar archives: listed and read in place.

No member is extracted under a name that the archive chose. Links, devices, names outside of the archive's
folder, and archives that decompress to an unreasonable size are refused.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np

from labelmint.data.stored_images import DAMAGED, MAX_BYTES, TarImages, ZipImages
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_MAX_RATIO = 200  # bytes per compressed byte
_FREE_BYTES = 1 << 30  # a tar may decompress to this size at any ratio
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A regular file of an archive.

    name: relative, with /. key: the member's own name in a zip, its offset in bytes in a tar.
    """

    name: str
    size: int
    key: str | int


@dataclass(frozen=True)
class Listing:
    """Content of an archive. path: file to read from, for a compressed tar the decompressed one in scratch.

    folders: names of all folders.
    """

    path: Path
    members: list[Member]
    folders: list[str]


def is_archive(path: Path) -> bool:
    try:
        return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        return True  # a compressed tar, whose damage is reported when it is listed


def is_damage(error: Exception) -> bool:
    """True if an error of the standard library is about an archive's bytes, False if it is about the disk."""
    # Some damage raises OSError: bz2 and gzip without a number, zip when an offset points before the file.
    return error.errno in (None, errno.EINVAL) if isinstance(error, OSError) else isinstance(error, DAMAGED)


def list_members(path: Path, scratch: Path) -> Listing:
    """List the regular files of a zip, tar or compressed tar. Raises: InputError."""
    try:
        if zipfile.is_zipfile(path):
            return _list_zip(path)
        return _list_tar(_decompressed_tar(path, scratch), path)
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: damaged archive ({reason}); fetch it again") from error


def images_of(path: Path, members: list[Member], names: list[str]) -> TarImages | ZipImages:
    """Images of an archive's members, under the given names."""
    if zipfile.is_zipfile(path):
        return ZipImages(path, names, [str(member.key) for member in members])
    spans = np.array([(member.key, member.size) for member in members], np.int64).reshape(-1, 2)
    return TarImages(path, names, spans)


def safe_name(name: str, archive: Path) -> str:
    """Relative name of a member. Raises: InputError for a name that leads out of the archive's folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    drive = bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":"
    if not parts or parts[0] == "/" or ".." in parts or drive or "\0" in name:
        raise InputError(
            f"{archive}: member {name!r} would lead out of the archive; refused, create the archive again"
        )
    return "/".join(parts)


def _list_zip(path: Path) -> Listing:
    members, folders, compressed = [], [], 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = safe_name(entry.filename, path)
            mode = entry.external_attr >> 16
            if (mode & 0o170000) == 0o120000:
                raise InputError(
                    f"{path}: member {entry.filename!r} is a link; put the file itself into the archive"
                )
            if entry.is_dir():
                folders.append(name)
                continue
            if entry.flag_bits & 1:
                raise InputError(
                    f"{path}: member {entry.filename!r} is encrypted; create the archive without a password"
                )
            compressed += entry.compress_size
            refuse_bomb(path, entry.filename, entry.file_size, entry.compress_size)
            members.append(Member(name, entry.file_size, entry.filename))
    if compressed > path.stat().st_size:
        raise InputError(f"{path}: its members overlap, as those of a zip bomb do; refused")
    return Listing(path, members, folders)


def _list_tar(tar: Path, given: Path) -> Listing:
    """tar: uncompressed. given: file that messages name."""
    members, folders, total = [], [], tar.stat().st_size
    with tarfile.open(tar, "r:") as archive:
        for entry in archive:
            name = safe_name(entry.name, given)
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps all members otherwise
            if entry.isdir():
                folders.append(name)
                continue
            if not entry.isreg() or entry.issparse():
                kind = "link" if entry.issym() or entry.islnk() else "device or special file"
                raise InputError(
                    f"{given}: member {entry.name!r} is a {kind}; put plain files into the archive"
                )
            if not 0 <= entry.size <= total - entry.offset_data:
                raise tarfile.ReadError(f"member {entry.name!r} is truncated")
            members.append(Member(name, entry.size, entry.offset_data))
    return Listing(tar, members, folders)


def _decompressed_tar(path: Path, scratch: Path) -> Path:
    """A tar that can be read at any position: `path` itself, or a decompressed copy in `scratch`."""
    with path.open("rb") as file:
        start = file.read(6)
    compressed: IO[bytes]
    if start[:2] == b"\x1f\x8b":
        compressed = cast("IO[bytes]", gzip.open(path))  # noqa: SIM115
    elif start[:3] == b"BZh":
        compressed = bz2.open(path)  # noqa: SIM115
    elif start == b"\xfd7zXZ\0":
        compressed = lzma.open(path)  # noqa: SIM115
    else:
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    target, size = scratch / "unpacked.tar", 0
    with compressed, target.open("wb") as file:
        while chunk := compressed.read(_CHUNK):
            size += len(chunk)
            refuse_bomb(path, path.name, size, path.stat().st_size, whole_archive=True)
            with named_os_errors(target):  # not around reading, whose errors are about the archive
                file.write(chunk)
    return target


def unpack_zip_member(path: Path, member: str, target: Path) -> Path:
    """Write one member to `target`. Raises: InputError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file, target.open("wb") as out:
            entry = archive.getinfo(member)  # zipfile reads no more than the size that the entry declares
            refuse_bomb(path, member, entry.file_size, entry.compress_size)
            while chunk := file.read(_CHUNK):
                with named_os_errors(target):
                    out.write(chunk)
    except (KeyError, *DAMAGED, OSError) as error:
        if not isinstance(error, KeyError) and not is_damage(error):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot read {member} ({reason}); fetch the archive again") from error
    return target


def refuse_bomb(path: Path, name: str, size: int, compressed: int, whole_archive: bool = False) -> None:
    """Check that `compressed` bytes of `path` do not decompress to an unreasonable `size`.

    whole_archive: the sizes are those of the archive, not of one member. Raises: InputError.
    """
    harmless = _FREE_BYTES if whole_archive else MAX_BYTES // 16
    if size > harmless and size > _MAX_RATIO * max(compressed, 1):
        raise InputError(
            f"{path}: {name!r} swells from {compressed:,} to {size:,} bytes or more, as a bomb does; refused"
        )
