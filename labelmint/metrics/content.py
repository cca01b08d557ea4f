"""Images by what they hold, whatever their place in a set: copies, and samples that do not depend on the set's order."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

_KEY = b"metrics"  # so that no other use of hashes, such as the search for duplicates, draws the same images


def digests(images: np.ndarray) -> list[bytes]:
    """16 bytes of each image: equal of equal images alone. images: uint8 (N, ...)."""
    return [_digest(image.tobytes()) for image in np.asarray(images)]


def order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64 (N,): places in the order of a keyed hash of image and label; the first n of them are a random sample without replacement.

    images: uint8 (N, ...), labels: (N, ...). The same sample however the set is ordered. Equal images are told apart by a count,
    or a sample would hold all of them or none.
    """
    seen: Counter[bytes] = Counter()
    keys = np.empty(len(images), np.uint64)
    for place, (image, label) in enumerate(zip(np.asarray(images), np.asarray(labels))):
        digest = _digest(image.tobytes() + label.tobytes())
        again = seen[digest]
        seen[digest] = again + 1
        if again:
            digest = _digest(digest + again.to_bytes(8, "big"))
        keys[place] = int.from_bytes(digest[:8], "big")
    return np.argsort(keys, kind="stable")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=_KEY).digest()
