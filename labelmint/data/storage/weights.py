"""Weights of a network on disk, known by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError


def save_weights(path: Path, weights: Mapping[str, np.ndarray]) -> str:
    """Write safetensors. Returns: the SHA-256 of the file, for the description beside it."""
    from safetensors.numpy import save

    content = save(dict(weights))
    save_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Arrays that may be written to. Raises: InputError when the file is missing or has another hash."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.exists():
        raise InputError(f"{path} is missing; `dvc repro` makes it")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{path}: its checksum is not the one that was written down; "
            f"the file is damaged, delete {path.parent} and run again"
        )
    try:
        return {name: np.array(values) for name, values in load(content).items()}
    except SafetensorError as error:
        raise InputError(f"{path}: no safetensors ({error}); delete {path.parent} and run again") from error
