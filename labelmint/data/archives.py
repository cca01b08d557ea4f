"""Zip and tar archives from strangers: listed and read, never trusted.

Nothing is extracted under a name that an archive chose. Links, devices, names that lead out, and archives that
would swell beyond reason are refused.
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

import numpy as np

from labelmint.data.stored_images import DAMAGED, MAX_BYTES, TarImages, ZipImages
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_MOST_SWELLING = 200
_FREE_BYTES = 1 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """name: relative, with /. key: what finds it again in the archive."""

    name: str
    size: int
    key: object


def is_archive(path: Path) -> bool:
    try:
        return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        return True  # a compressed tar, whose damage is told when it is listed


def is_damage(error: Exception) -> bool:
    """Whether what the standard library raised is about the bytes, and not about the disk that they come from."""
    # Some say so by an OSError: bz2 and gzip without a number, zip when a damaged offset leads to before the file.
    return error.errno in (None, errno.EINVAL) if isinstance(error, OSError) else isinstance(error, DAMAGED)


@dataclass(frozen=True)
class Listing:
    """path: the file to read from; for a compressed tar, a plain one in scratch. folders: names of all folders."""

    path: Path
    members: list[Member]
    folders: list[str]


def list_members(path: Path, scratch: Path) -> Listing:
    """Regular files of a zip, tar or compressed tar. Raises: InputError."""
    try:
        if zipfile.is_zipfile(path):
            return _list_zip(path)
        return _list_tar(_plain_tar(path, scratch), path)
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise
        raise InputError(f"{path}: damaged archive ({' '.join(str(error).split())[:120]}); fetch it again") from error


def images_of(path: Path, members: list[Member], names: list[str]) -> TarImages | ZipImages:
    """Images among the members, under the names that we give them."""
    if zipfile.is_zipfile(path):
        return ZipImages(path, names, [str(member.key) for member in members])
    spans = np.array([(member.key, member.size) for member in members], np.int64).reshape(-1, 2)
    return TarImages(path, names, spans)


def safe_name(name: str, archive: Path) -> str:
    """Raises: InputError when the name would lead out of the folder it is unpacked into."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":") or "\0" in name:
        raise InputError(f"{archive}: member {name!r} would lead out of the archive; refused, make the archive anew")
    return "/".join(parts)


def _list_zip(path: Path) -> Listing:
    members, folders, packed = [], [], 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = safe_name(entry.filename, path)
            mode = entry.external_attr >> 16
            if (mode & 0o170000) == 0o120000:
                raise InputError(f"{path}: member {entry.filename!r} is a link; put the file itself into the archive")
            if entry.is_dir():
                folders.append(name)
                continue
            if entry.flag_bits & 1:
                raise InputError(f"{path}: member {entry.filename!r} is encrypted; make the archive without a password")
            packed += entry.compress_size
            refuse_bomb(path, entry.filename, entry.file_size, entry.compress_size)
            members.append(Member(name, entry.file_size, entry.filename))
    if packed > path.stat().st_size:
        raise InputError(f"{path}: its members overlap, as those of a zip bomb do; refused")
    return Listing(path, members, folders)


def _list_tar(plain: Path, given: Path) -> Listing:
    members, folders, whole = [], [], plain.stat().st_size
    with tarfile.open(plain, "r:") as archive:
        for entry in archive:
            name = safe_name(entry.name, given)
            archive.members = []  # or it would keep them all
            if entry.isdir():
                folders.append(name)
                continue
            if not entry.isreg() or entry.issparse():
                kind = "link" if entry.issym() or entry.islnk() else "device or special file"
                raise InputError(f"{given}: member {entry.name!r} is a {kind}; put plain files into the archive")
            if not 0 <= entry.size <= whole - entry.offset_data:
                raise tarfile.ReadError(f"member {entry.name!r} is cut")
            members.append(Member(name, entry.size, entry.offset_data))
    return Listing(plain, members, folders)


def _plain_tar(path: Path, scratch: Path) -> Path:
    """A tar that can be read at any position."""
    with path.open("rb") as file:
        start = file.read(6)
    if start[:2] == b"\x1f\x8b":
        packed = gzip.open(path)  # noqa: SIM115
    elif start[:3] == b"BZh":
        packed = bz2.open(path)  # noqa: SIM115
    elif start == b"\xfd7zXZ\0":
        packed = lzma.open(path)  # noqa: SIM115
    else:
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    target, size = scratch / "unpacked.tar", 0
    with packed, target.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            refuse_bomb(path, path.name, size, path.stat().st_size, of_whole=True)
            with named_os_errors(target):  # not around reading, whose errors are about the archive
                file.write(chunk)
    return target


def unpack_zip_member(path: Path, member: str, target: Path) -> Path:
    """Write one member to `target`. Raises: InputError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file, target.open("wb") as out:
            entry = archive.getinfo(member)  # of which no more is read than it declares
            refuse_bomb(path, member, entry.file_size, entry.compress_size)
            while chunk := file.read(_CHUNK):
                with named_os_errors(target):
                    out.write(chunk)
    except (KeyError, *DAMAGED, OSError) as error:
        if not isinstance(error, KeyError) and not is_damage(error):
            raise
        raise InputError(
            f"{path}: cannot read {member} ({' '.join(str(error).split())}); fetch the archive again"
        ) from error
    return target


def refuse_bomb(path: Path, name: str, size: int, packed: int, of_whole: bool = False) -> None:
    """Raises: InputError when `packed` bytes of `path` become beyond reason more. of_whole: of a whole archive, not of one member."""
    least = _FREE_BYTES if of_whole else MAX_BYTES // 16
    if size > least and size > _MOST_SWELLING * max(packed, 1):
        raise InputError(f"{path}: {name!r} swells from {packed:,} to {size:,} bytes or more, as a bomb does; refused")
