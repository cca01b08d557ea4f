"""Weights that a person names in params.yaml: a file from anywhere, of which nothing is ever run."""

from __future__ import annotations

import io
import warnings

import torch

from labelmint.runtime.errors import InputError


def state_dict(content: bytes, where: str) -> dict[str, torch.Tensor]:
    """Tensors by name. where: named in errors. Raises: InputError when `content` is no plain state dict."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about the kind of file; the error below says enough
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for a file that may hold anything
        raise InputError(f"{where} is not a state dict of tensors ({_first_line(error)})") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{where} is not a state dict of tensors")
    return dict(found)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
