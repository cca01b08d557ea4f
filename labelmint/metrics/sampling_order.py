"""Samples and duplicates that depend on the content of images, never on their order in a set."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

_KEY = b"metrics"  # other uses of hashes, such as the search for duplicates, must not draw the same images


def digests(images: np.ndarray) -> list[bytes]:
    """16-byte hash of each image; equal exactly for equal images. images: uint8 (N, ...)."""
    return [_digest(image.tobytes()) for image in np.asarray(images)]


def content_order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices that sort a set by a keyed hash of image and label: int64 (N,).

    The first n are a random sample without replacement, and the same sample for any order of the set.
    Repeated images are hashed with a counter, or else a sample would hold all of them or none.
    images: uint8 (N, ...). labels: (N, ...).
    """
    repeats: Counter[bytes] = Counter()
    keys = np.empty(len(images), np.uint64)
    for index, (image, label) in enumerate(zip(np.asarray(images), np.asarray(labels))):
        digest = _digest(image.tobytes() + label.tobytes())
        repeat = repeats[digest]
        repeats[digest] = repeat + 1
        if repeat:
            digest = _digest(digest + repeat.to_bytes(8, "big"))
        keys[index] = int.from_bytes(digest[:8], "big")
    return np.argsort(keys, kind="stable")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=_KEY).digest()
