"""Arrays of an untrusted .npz, read in place where they are not compressed. No pickle is opened."""

from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from labelmint.data.archive_members import is_damage, refuse_bomb
from labelmint.data.storage.tensors import ArrayHeader, read_array_header
from labelmint.runtime.atomic_files import named_os_errors
from labelmint.runtime.errors import InputError

_CHUNK = 1 << 20
_SUFFIX = ".npy"


@dataclass(frozen=True)
class StoredArray:
    """An array in row order. path, offset: file and byte at which its values begin."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def values(self) -> np.ndarray:
        return np.fromfile(self.path, self.dtype, math.prod(self.shape), offset=self.offset).reshape(
            self.shape
        )


def read_npz(path: Path, scratch: Path, advice: str) -> dict[str, StoredArray]:
    """Find all arrays of an .npz by name. Compressed ones are decompressed into `scratch`.

    advice: what the user should do with a file that is refused.
    Raises: InputError when the file is damaged, or an array holds Python objects or is stored by columns.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(_SUFFIX)]
            for entry in entries:
                refuse_bomb(path, entry.filename, entry.file_size, entry.compress_size)
            return {
                entry.filename.removesuffix(_SUFFIX): _locate(archive, entry, path, scratch, advice)
                for entry in entries
            }
    except InputError:
        raise
    except Exception as error:  # damaged bytes cause errors of many types
        if not is_damage(error) and not isinstance(error, (KeyError, RuntimeError)):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not a complete npz ({reason}); {advice}") from error


def _locate(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, scratch: Path, advice: str
) -> StoredArray:
    name = entry.filename.removesuffix(_SUFFIX)
    with archive.open(entry) as file:
        shape, dtype, start = _header(file, f"{path}: {name}", advice)
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=1) < 0 or not dtype.itemsize or entry.file_size != start + size:
            raise InputError(f"{path}: {name} is truncated; {advice}")
        if entry.compress_type != zipfile.ZIP_STORED:
            scratch.mkdir(parents=True, exist_ok=True)
            unpacked = scratch / f"{path.stem}-{entry.header_offset}.bin"
            with unpacked.open("wb") as out:
                while chunk := file.read(_CHUNK):
                    with named_os_errors(unpacked):
                        out.write(chunk)
            return StoredArray(unpacked, 0, shape, dtype)
    with path.open("rb") as whole:
        whole.seek(entry.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", whole.read(4))
    begin = entry.header_offset + 30 + name_bytes + extra_bytes + start
    if begin + size > path.stat().st_size:
        raise InputError(f"{path}: {name} is truncated; {advice}")
    return StoredArray(path, begin, shape, dtype)


def _header(file: IO[bytes], what: str, advice: str) -> ArrayHeader:
    try:
        return read_array_header(file)
    except ValueError as error:
        raise InputError(f"{what} {error}; {advice}") from error
