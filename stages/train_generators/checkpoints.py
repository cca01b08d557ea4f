"""Progress on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.prepare.files import whole
from stages.prepare.tracker import say

_DIGEST_BYTES = 32


def key(params: Any, *arrays: np.ndarray) -> str:
    """Names the folder of checkpoints that belong to these params (a dataclass) and this data, and to no others."""
    digest = hashlib.sha256(repr(asdict(params)).encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:24]


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and text whole or not at all: a temporary file, a checksum, a rename."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with whole(path) as partial, partial.open("wb") as file:
        file.write(hashlib.sha256(buffer.getbuffer()).digest())
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any] | None:
    """The saved state, or None where there is none or it is damaged (which is said)."""
    if not path.exists():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
        say(f"{path}: damaged checkpoint, starting this one anew")
        return None
    return torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
