"""Duplicate images within and across splits: byte for byte, and nearly.

Near duplicates are found by perceptual hash and confirmed on the pixels, because on simple images the hash
alone is no evidence: of MNIST's 10,000 test digits, 6,315 share at least 60 of 64 hash bits with a training
digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from labelmint.data.convert import Converted
from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.errors import InputError

_CHUNK = 4096
MAX_CANDIDATES = 20_000_000
"""Most pairs of similar hashes that are compared; beyond it the search ends and the manifest says so."""


@dataclass(frozen=True)
class Duplicates:
    """Duplicates of all splits.

    dropped: per split, bool (N,), images that this split must leave to another one.
    counts: numbers of duplicates by name.
    described: entry of the manifest: counts, actions, and how near duplicates are defined.
    """

    dropped: list[np.ndarray]
    counts: dict[str, int]
    described: dict[str, Any]


def find_duplicates(
    converted: Sequence[Converted], images: Sequence[ImageFile], dataset: Dataset
) -> Duplicates:
    """Compare all images of the splits (training, validation, test) with each other.

    An image of several splits stays in the last of them: training gives way to validation, and both to test.
    Raises: InputError when there are such images and `dataset` says refuse.
    """
    good = [np.flatnonzero(part.good) for part in converted]
    split = np.repeat(np.arange(len(good)), [len(part) for part in good])
    row = np.concatenate(good)
    hashes = np.concatenate([part.hashes[rows] for part, rows in zip(converted, good)])
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)

    # The last split that has each content: an earlier one must not keep it.
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, group, split)
    exact = split < last[group]
    members = [np.bincount(group[split == part], minlength=len(first)) for part in (TRAIN, VALIDATION, TEST)]
    counts = {
        "train_images_also_in_test": int((members[TRAIN][members[TEST] > 0]).sum()),
        "train_images_also_in_validation": int((members[TRAIN][members[VALIDATION] > 0]).sum()),
        "validation_images_also_in_test": int((members[VALIDATION][members[TEST] > 0]).sum()),
        "repeated_within_train": int((members[TRAIN] - 1).clip(0).sum()),
        "repeated_within_validation": int((members[VALIDATION] - 1).clip(0).sum()),
        "repeated_within_test": int((members[TEST] - 1).clip(0).sum()),
    }
    _refuse(exact, "occur", dataset.duplicates, "duplicates", split)

    # Near duplicates are searched among different contents only, each represented by its last image.
    representatives = np.full(len(first), -1)
    for part in (TRAIN, VALIDATION, TEST):
        representatives[group[split == part]] = np.flatnonzero(split == part)
    perceptual = np.concatenate([part.perceptual[rows] for part, rows in zip(converted, good)])[
        representatives
    ]
    view = _SplitImages(images, split[representatives], row[representatives])
    pairs, complete = near_pairs(perceptual, view, dataset.near_duplicate_bits, dataset.near_duplicate_rms)
    sides = split[representatives][pairs]
    near = np.zeros(len(split), bool)
    for low, high in ((TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST)):
        for own, other in ((0, 1), (1, 0)):
            across = (sides[:, own] == low) & (sides[:, other] == high)
            near |= (split == low) & np.isin(group, pairs[across, own])
    crossing = {part: (np.sort(sides, axis=1) == part).all(1) for part in ((TRAIN, TEST), (TRAIN, TRAIN))}
    test_images = pairs[crossing[TRAIN, TEST]][sides[crossing[TRAIN, TEST]] == TEST]
    counts["near_test_in_training"] = len(np.unique(test_images))
    counts["near_within_train"] = len(np.unique(pairs[crossing[TRAIN, TRAIN]].max(1, initial=-1)))
    if dataset.near_duplicates == "count":
        near[:] = False
    _refuse(near & ~exact, "have a near duplicate", dataset.near_duplicates, "near_duplicates", split)

    dropped = [np.zeros(len(part.good), bool) for part in converted]
    for part, rows in enumerate(good):
        dropped[part][rows] = (exact | near)[split == part]
    described = {
        **counts,
        "action": dataset.duplicates,
        "near_action": dataset.near_duplicates,
        "near_protocol": f"perceptual hashes within {dataset.near_duplicate_bits} of 64 bits "
        f"and pixels within {dataset.near_duplicate_rms:g} grey levels (root mean square)"
        + (
            "" if complete else f"; ended after {MAX_CANDIDATES:,} pairs of similar hashes: there may be more"
        ),
    }
    return Duplicates(dropped, counts, described)


def _refuse(dropped: np.ndarray, verb: str, action: str, setting: str, split: np.ndarray) -> None:
    if dropped.any() and action == "refuse":
        training = int((dropped & (split == TRAIN)).sum())
        subject = f"{training:,} training" if training else f"{int(dropped.sum()):,} validation"
        raise InputError(
            f"{subject} images also {verb} in the test or validation set; "
            f"set dataset.{setting}: drop to leave them out"
        )


class Rows(Protocol):
    """Images that an array of positions selects: uint8 (N, C, S, S), as an array or as files."""

    def __getitem__(self, positions: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class _SplitImages:
    """Images of several splits as one array: position i is row rows[i] of images[split[i]]."""

    images: Sequence[ImageFile]
    split: np.ndarray
    rows: np.ndarray

    def __getitem__(self, positions: np.ndarray, /) -> np.ndarray:
        split, rows = self.split[positions], self.rows[positions]
        result = np.empty((len(positions), *self.images[0].shape[1:]), np.uint8)
        for part, images in enumerate(self.images):
            own = split == part
            if own.any():
                result[own] = images[rows[own]]
        return result


def near_pairs(hashes: np.ndarray, images: Rows, bits: int, rms: float) -> tuple[np.ndarray, bool]:
    """Find pairs of images that are nearly equal.

    hashes: perceptual hashes, uint64 (N,). images: uint8 (N, ...).
    bits: most of 64 bits that differ. rms: largest root mean square difference of the pixels, grey levels.
    Returns: positions, int64 (M, 2), the smaller first, sorted; and whether the search was complete.
    """
    found, compared = [], 0
    for first, second in _similar_hashes(hashes, bits):
        compared += len(first)
        if compared > MAX_CANDIDATES:
            break
        close = _rms_difference(images, first, second) <= rms
        found.append(np.stack([first[close], second[close]], axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    pairs = np.sort(pairs, axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], compared <= MAX_CANDIDATES


def _similar_hashes(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield arrays (first, second) of positions whose hashes differ in at most `bits` bits, each pair once.

    Hashes are cut into bits + 1 bands. At least one band of such a pair is equal (pigeonhole), so only images
    that share a band are compared.
    """
    edges = np.linspace(0, 64, bits + 2).astype(int).tolist()
    shifts = [np.uint64(low) for low in edges[:-1]]
    masks = [np.uint64((1 << (high - low)) - 1) for low, high in zip(edges, edges[1:])]
    for number in range(bits + 1):
        band = (hashes >> shifts[number]) & masks[number]
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        distance, starts = 1, np.arange(len(order) - 1)
        while len(starts := starts[starts + distance < len(order)]):
            starts = starts[ordered[starts] == ordered[starts + distance]]
            for begin in range(0, len(starts), _CHUNK * 64):
                part = starts[begin : begin + _CHUNK * 64]
                first, second = order[part], order[part + distance]
                differing = hashes[first] ^ hashes[second]
                near = np.bitwise_count(differing) <= bits
                for earlier in range(number):  # an earlier band has found the pair already
                    near &= ((differing >> shifts[earlier]) & masks[earlier]) != 0
                if near.any():
                    yield first[near], second[near]
            distance += 1


def _rms_difference(images: Rows, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square difference of the pixels of each pair, float64 (M,)."""
    result = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        difference = images[first[part]].astype(np.int16) - images[second[part]]
        result[part] = np.sqrt((difference.astype(np.float32) ** 2).reshape(len(difference), -1).mean(1))
    return result
