"""Weights of a network on disk, identified by their hash."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError

if TYPE_CHECKING:
    import torch


def are_finite(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether no weight is infinite or NaN."""
    return all(np.isfinite(values).all() for values in weights.values())


def save_weights(path: Path, weights: Mapping[str, np.ndarray]) -> str:
    """Write safetensors. Returns: SHA-256 of the file, which its description records."""
    from safetensors.numpy import save

    content = save(dict(weights))
    save_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read safetensors into writable arrays. Raises: InputError for a missing file or another hash."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.exists():
        raise InputError(f"{path} is missing; `dvc repro` makes it")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{path}: its checksum is not the recorded one; "
            f"the file is damaged, delete {path.parent} and run again"
        )
    try:
        return {name: np.array(values) for name, values in load(content).items()}
    except SafetensorError as error:
        raise InputError(f"{path}: not safetensors ({error}); delete {path.parent} and run again") from error


def state_dict(content: bytes, where: str) -> dict[str, torch.Tensor]:
    """Tensors by name from a file of the user's, of which nothing is ever executed. where: named in errors.

    Raises: InputError if `content` is not a plain state dict.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about the file format; the error below says enough
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of many types, for untrusted content
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{where} is not a state dict of tensors ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{where} is not a state dict of tensors")
    return dict(found)
