"""Untrusted tar archives, listed in place; a compressed one is decompressed first."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from pathlib import Path
from typing import IO, cast

from labelmint.data.archive_members import Listing, Member, refuse_bomb
from labelmint.data.file_names import decode_names, is_text
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_CHUNK = 1 << 20
_TAPE_LABEL = b"V"


def list_tar(tar: Path, given: Path, encoding: str | None) -> Listing:
    """List the regular files.

    tar: uncompressed. given: file that messages name. encoding: as `list_members` takes it.
    Raises: InputError; errors of damage.
    """
    stored: list[str | bytes] = []
    spans: list[tuple[int, int] | None] = []  # None for a folder
    total = tar.stat().st_size
    with tarfile.open(tar, "r:", encoding="utf-8", errors="surrogateescape") as archive:
        for entry in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps all members otherwise
            if entry.type == _TAPE_LABEL:
                continue
            raw = entry.name.encode("utf-8", "surrogateescape")
            is_stated = "path" in entry.pax_headers or (encoding is None and is_text(entry.name))
            stored.append(entry.name if is_stated else raw)
            if entry.isdir():
                spans.append(None)
                continue
            if not entry.isreg() or entry.issparse():
                raise InputError(
                    f"{given}: member {entry.name!r} is a {_kind(entry)}; put plain files into the archive"
                )
            if not 0 <= entry.size <= total - entry.offset_data:
                raise tarfile.ReadError(f"member {entry.name!r} is truncated")
            spans.append((entry.offset_data, entry.size))
        end = archive.offset
    _check_end(tar, end, given)
    names = decode_names(stored, given, encoding)
    members = [Member(name, span[1], span[0]) for name, span in zip(names, spans) if span]
    return Listing(tar, members, [name for name, span in zip(names, spans) if not span and name])


def _kind(entry: tarfile.TarInfo) -> str:
    if entry.issparse():
        return "sparse file"
    return "link" if entry.issym() or entry.islnk() else "device or special file"


def _check_end(tar: Path, end: int, given: Path) -> None:
    """Check that a tar was listed to its end. tarfile stops without an error at a damaged header.

    end: offset in bytes where the listing ended. Raises: InputError, tarfile.ReadError.
    """
    with tar.open("rb") as file:
        file.seek(end)
        first = file.read(tarfile.BLOCKSIZE)
        if not first:
            raise tarfile.ReadError("it ends without its end mark")
        if first.strip(b"\0"):
            raise tarfile.ReadError(f"bad header at byte {end:,}")
        while chunk := file.read(_CHUNK):
            if chunk.strip(b"\0"):
                raise InputError(
                    f"{given}: several archives joined together; "
                    "unpack it with `tar --ignore-zeros -xf` and give the folder"
                )


def decompressed_tar(path: Path, scratch: Path) -> Path:
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
