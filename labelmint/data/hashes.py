"""Hashes that recognise an image: of its exact bytes, and of its coarse structure."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np


def content_hash(tensor: np.ndarray) -> int:
    """First 64 bits of the SHA-256 of an image's bytes: equal images have equal hashes."""
    return int.from_bytes(hashlib.sha256(tensor.tobytes()).digest()[:8], "big")


def perceptual_hashes(tensors: np.ndarray) -> np.ndarray:
    """Perceptual hash of each image: which of its 64 lowest frequencies are above their median.

    tensors: uint8 (N, C, S, S). Returns: uint64 (N,).
    Source: pHash (Zauner 2010), with the cosine transform of the grey image at its own size.
    """
    if not len(tensors):
        return np.zeros(0, np.uint64)
    grey = tensors.mean(1, dtype=np.float32)
    cosines = _cosines(grey.shape[-1])
    # One small product per image: BLAS computes it in the calling thread and does not slow other workers.
    strengths = (cosines @ grey @ cosines.T).reshape(len(grey), 64)
    above = strengths > np.median(strengths[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8").astype(np.uint64).ravel()


@lru_cache
def _cosines(size: int) -> np.ndarray:
    """The 8 lowest frequencies of the cosine transform, float32 (8, size)."""
    positions = (np.arange(size) + 0.5) / size
    return np.cos(np.pi * np.outer(np.arange(8), positions)).astype(np.float32)
