"""Search for pairs of nearly equal images."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data import duplicates
from labelmint.data.duplicates import near_pairs


def all_near_pairs(hashes: np.ndarray, images: np.ndarray, bits: int, rms: float) -> list[tuple[int, int]]:
    """The same by comparing every pair."""
    pairs = []
    for first in range(len(hashes)):
        for second in range(first + 1, len(hashes)):
            differing = (int(hashes[first]) ^ int(hashes[second])).bit_count()
            difference = images[first].astype(float) - images[second]
            if differing <= bits and np.sqrt((difference**2).mean()) <= rms:
                pairs.append((first, second))
    return pairs


@pytest.mark.parametrize("bits", [0, 1, 4, 8])
def test_finds_the_pairs_that_a_comparison_of_all_pairs_finds(bits):
    rng = np.random.default_rng(bits)
    few = rng.integers(0, 2**63, 12, dtype=np.uint64)
    hashes = np.concatenate([few, few, few, rng.integers(0, 2**63, 40, dtype=np.uint64)])
    for _ in range(4):
        hashes ^= np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64)
    images = rng.integers(0, 40, (len(hashes), 1, 4, 4), dtype=np.uint8)
    found, complete = near_pairs(hashes, images, bits, 17.0)
    assert complete
    assert list(map(tuple, found.tolist())) == all_near_pairs(hashes, images, bits, 17.0)


def test_search_ends_when_nearly_all_hashes_are_similar(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_CANDIDATES", 1000)
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 4, 4), dtype=np.uint8)
    assert not near_pairs(np.zeros(200, np.uint64), images, 4, 8.0)[1]
