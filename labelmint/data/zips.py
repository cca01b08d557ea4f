"""Untrusted zip archives, listed in place. Names may be in any encoding, with backslashes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from labelmint.data.archive_members import Listing, Member, is_damage, refuse_bomb
from labelmint.data.file_names import decode_names
from labelmint.data.stored_images import DAMAGED
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_CHUNK = 1 << 20
_ZIP_END, _ZIP_END_BYTES = b"PK\x05\x06", 22 + 65_535  # with the longest comment
_UTF8_NAME, _UNICODE_PATH = 0x800, 0x7075  # flag, and Info-ZIP's extra field
_READ = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_METHODS = {
    **{1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard"},
    **{95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd"},
}
"""Compression methods of zip that the standard library does not read."""


def is_zip(path: Path) -> bool:
    """Whether a file ends as a zip. A tar does, too, if its last member is one."""
    with path.open("rb") as file:
        is_tar = file.read(262)[257:] == b"ustar"
    return not is_tar and zipfile.is_zipfile(path)


def list_zip(path: Path, encoding: str | None) -> Listing:
    """List the regular files. encoding: as `list_members` takes it. Raises: InputError; errors of damage."""
    _check_single_part(path)
    members, folders, compressed = [], [], 0
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = decode_names([_stored_name(entry) for entry in entries], path, encoding)
        for number, (entry, name) in enumerate(zip(entries, names)):
            mode = entry.external_attr >> 16
            if (mode & 0o170000) == 0o120000:
                raise InputError(f"{path}: member '{name}' is a link; put the file itself into the archive")
            if _is_folder(entry):
                folders += [name] if name else []
                continue
            if entry.flag_bits & 1:
                raise InputError(
                    f"{path}: member '{name}' is encrypted; create the archive without a password"
                )
            if entry.compress_type not in _READ:
                method = f"{entry.compress_type} ({_METHODS.get(entry.compress_type, 'unknown')})"
                raise InputError(
                    f"{path}: member '{name}' has compression method {method}, which is not read; "
                    "unpack the archive and give the folder"
                )
            compressed += entry.compress_size
            refuse_bomb(path, name, entry.file_size, entry.compress_size)
            members.append(Member(name, entry.file_size, number))
    if compressed > path.stat().st_size:
        raise InputError(f"{path}: its members overlap, as those of a zip bomb do; refused")
    return Listing(path, members, folders)


def _check_single_part(path: Path) -> None:
    """Raise InputError for the last part of a zip that is split over several files."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ZIP_END_BYTES))
        end = file.read()
    part = struct.unpack_from("<H", end, end.rindex(_ZIP_END) + 4)[0]
    if 0 < part < 0xFFFF:
        raise InputError(
            f"{path}: the last of {part + 1} parts; "
            f"join them with `zip -s 0 {path.name} --out whole.zip`, or unpack it and give the folder"
        )


def _stored_name(entry: zipfile.ZipInfo) -> str | bytes:
    """Name of a zip's member as it is stored, as bytes where its encoding is not stated."""
    if entry.flag_bits & _UTF8_NAME:
        return entry.orig_filename
    raw = entry.orig_filename.encode("cp437")  # as which zipfile has decoded it
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return field[5:].decode()
    return raw


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    """Whether a member is a folder: by its name, or by the attributes of MS-DOS or Unix if it is empty."""
    is_marked = entry.external_attr & 0x10 or (entry.external_attr >> 16 & 0o170000) == 0o040000
    return entry.orig_filename.endswith(("/", "\\")) or (bool(is_marked) and not entry.file_size)


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
