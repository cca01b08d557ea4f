"""The idx format of MNIST and its relatives, plain or gzipped.

Source: LeCun, Cortes, Burges, "The MNIST database", file formats.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from stages.prepare.errors import InputError

_UINT8 = 0x08


def read_idx(path: Path, dimensions: int, md5: str | None = None) -> np.ndarray:
    """Read a uint8 idx file.

    dimensions: 3 for images (N, H, W), 1 for labels (N,).
    md5: of the decompressed content, checked before anything is parsed.
    Raises: InputError when the file is cut, corrupt, or not what its name says.
    """
    data = _content(path)
    if md5 and (found := hashlib.md5(data, usedforsecurity=False).hexdigest()) != md5:
        raise InputError(
            f"{path}: checksum is {found}, expected {md5}; delete the file and run again to fetch a good copy"
        )
    if len(data) < 4 + 4 * dimensions:
        raise InputError(
            f"{path}: {len(data)} bytes are too few for an idx header; the file is cut, delete it and run again"
        )
    zero, kind, rank = struct.unpack(">HBB", data[:4])
    if (zero, kind, rank) != (0, _UINT8, dimensions):
        raise InputError(
            f"{path}: not an idx file of bytes in {dimensions} dimensions (it starts with {data[:4].hex()})"
        )
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    expected = int(np.prod(shape, dtype=np.int64))
    body = len(data) - 4 - 4 * rank
    if body != expected:
        raise InputError(
            f"{path}: the header promises {expected} bytes, the file holds {body}; delete it and run again"
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip data ({error}); delete the file and run again") from error
