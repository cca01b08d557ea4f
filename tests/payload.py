"""A payload that must never run: an object that creates a file when it is unpickled."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import torch


class Payload:
    """An object whose pickle creates `path` when it is opened."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def pickled(trap: Path) -> bytes:
    """A pickle that creates `trap`. Raises: AssertionError if unpickling it does not."""
    content = pickle.dumps(Payload(trap))
    pickle.loads(content)
    assert trap.exists()
    trap.unlink()
    return content


def saved(trap: Path, zipped: bool = True) -> bytes:
    """The payload within a state dict, as torch.save writes it."""
    buffer = io.BytesIO()
    torch.save({"weight": Payload(trap)}, buffer, _use_new_zipfile_serialization=zipped)
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert trap.exists()
    trap.unlink()
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
