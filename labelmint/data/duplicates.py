"""Images that are there twice: byte for byte, and nearly.

Near duplicates are sought by perceptual hash and confirmed on the pixels, since on simple images the hash alone is no
evidence: among MNIST's test digits, 6,315 of 10,000 share all but 4 of 64 hash bits with some training digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.storage.tensors import ImageFile
from labelmint.runtime.errors import InputError

if TYPE_CHECKING:
    from labelmint.data.convert import Converted

_CHUNK = 4096
MOST_CANDIDATES = 20_000_000
"""Pairs of like hashes that are looked at; beyond it the search ends, and says so."""


@dataclass(frozen=True)
class Duplicates:
    """leave: per split, bool (N,), images that another split has too and this one must give up. counts: of everything found.

    described: for the manifest: the counts, what was done, and how near duplicates were sought.
    """

    leave: list[np.ndarray]
    counts: dict[str, int]
    described: dict[str, Any]


def find_duplicates(converted: Sequence[Converted], images: Sequence[ImageFile], params: Dataset) -> Duplicates:
    """Compare all images of the splits (training, validation, test) with each other.

    Training gives way to validation, and both to test. Raises: InputError when params say refuse and any would have to.
    """
    good = [np.flatnonzero(part.good) for part in converted]
    owner = np.repeat(np.arange(len(good)), [len(part) for part in good])
    row = np.concatenate(good)
    hashes = np.concatenate([part.hashes[places] for part, places in zip(converted, good)])
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)

    # The highest split that has each content: a lower one must not keep it.
    highest = np.zeros(len(first), np.int64)
    np.maximum.at(highest, group, owner)
    exact = owner < highest[group]
    members = [np.bincount(group[owner == part], minlength=len(first)) for part in (TRAIN, VALIDATION, TEST)]
    counts = {
        "train_images_also_in_test": int((members[TRAIN][members[TEST] > 0]).sum()),
        "train_images_also_in_validation": int((members[TRAIN][members[VALIDATION] > 0]).sum()),
        "validation_images_also_in_test": int((members[VALIDATION][members[TEST] > 0]).sum()),
        "repeated_within_train": int((members[TRAIN] - 1).clip(0).sum()),
        "repeated_within_validation": int((members[VALIDATION] - 1).clip(0).sum()),
        "repeated_within_test": int((members[TEST] - 1).clip(0).sum()),
    }
    _refuse(exact, "stand", params.duplicates, "duplicates", owner)

    # Near ones are sought among different contents only, each by its occurrence in the highest split.
    spokesmen = np.full(len(first), -1)
    for part in (TRAIN, VALIDATION, TEST):
        spokesmen[group[owner == part]] = np.flatnonzero(owner == part)
    perceptual = np.concatenate([part.perceptual[places] for part, places in zip(converted, good)])[spokesmen]
    view = _Rows(images, owner[spokesmen], row[spokesmen])
    pairs, complete = near_pairs(perceptual, view, params.near_duplicate_bits, params.near_duplicate_rms)
    sides = owner[spokesmen][pairs]
    near = np.zeros(len(owner), bool)
    for low, high in ((TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST)):
        for mine, other in ((0, 1), (1, 0)):
            across = (sides[:, mine] == low) & (sides[:, other] == high)
            near |= (owner == low) & np.isin(group, pairs[across, mine])
    crossing = {part: (np.sort(sides, axis=1) == part).all(1) for part in ((TRAIN, TEST), (TRAIN, TRAIN))}
    tested = pairs[crossing[TRAIN, TEST]][sides[crossing[TRAIN, TEST]] == TEST]
    counts["near_test_in_training"] = len(np.unique(tested))
    counts["near_within_train"] = len(np.unique(pairs[crossing[TRAIN, TRAIN]].max(1, initial=-1)))
    if params.near_duplicates == "count":
        near[:] = False
    _refuse(near & ~exact, "have a near duplicate", params.near_duplicates, "near_duplicates", owner)

    leave = [np.zeros(len(part.good), bool) for part in converted]
    for part, places in enumerate(good):
        leave[part][places] = (exact | near)[owner == part]
    described = {
        **counts,
        "action": params.duplicates,
        "near_action": params.near_duplicates,
        "near_protocol": f"perceptual hashes within {params.near_duplicate_bits} of 64 bits and pixels within "
        f"{params.near_duplicate_rms:g} grey levels (root mean square)"
        + ("" if complete else f"; ended after {MOST_CANDIDATES:,} pairs of like hashes: there may be more"),
    }
    return Duplicates(leave, counts, described)


def _refuse(leave: np.ndarray, verb: str, action: str, name: str, owner: np.ndarray) -> None:
    if leave.any() and action == "refuse":
        training = int((leave & (owner == TRAIN)).sum())
        what = f"{training:,} training" if training else f"{int(leave.sum()):,} validation"
        raise InputError(
            f"{what} images also {verb} in the test or validation set; set dataset.{name}: drop to leave them out"
        )


@dataclass(frozen=True)
class _Rows:
    """Images of several splits as one array: position i is row rows[i] of images[owner[i]]."""

    images: Sequence[ImageFile]
    owner: np.ndarray
    rows: np.ndarray

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        owner, rows = self.owner[places], self.rows[places]
        result = np.empty((len(places), *self.images[0].shape[1:]), np.uint8)
        for part, images in enumerate(self.images):
            mine = owner == part
            if mine.any():
                result[mine] = images[rows[mine]]
        return result


def perceptual_hashes(tensors: np.ndarray) -> np.ndarray:
    """uint8 (N, C, S, S) -> uint64 (N,): which of the 64 lowest frequencies of the grey picture lie above their median.

    Source: pHash (Zauner 2010), with the cosine transform taken of the picture at its own size.
    """
    if not len(tensors):
        return np.zeros(0, np.uint64)
    grey = tensors.mean(1, dtype=np.float32)
    waves = _cosines(grey.shape[-1])
    # One small product per image, which BLAS does in the calling thread: its threads would fight those of other workers.
    strengths = (waves @ grey @ waves.T).reshape(len(grey), 64)
    above = strengths > np.median(strengths[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8").astype(np.uint64).ravel()


@lru_cache
def _cosines(size: int) -> np.ndarray:
    """float32 (8, size)."""
    places = (np.arange(size) + 0.5) / size
    return np.cos(np.pi * np.outer(np.arange(8), places)).astype(np.float32)


def near_pairs(hashes: np.ndarray, images: np.ndarray, bits: int, rms: float) -> tuple[np.ndarray, bool]:
    """Pairs of images that are nearly the same.

    hashes: uint64 (N,), perceptual. images: uint8 (N, ...), or what gives such by positions.
    bits: at most so many of 64 differ. rms: root mean square difference of the pixels, grey levels.
    Returns: int64 (M, 2), positions, the smaller first, in order; and whether the search was complete.
    """
    found, looked_at = [], 0
    for first, second in _alike(hashes, bits):
        looked_at += len(first)
        if looked_at > MOST_CANDIDATES:
            break
        close = _difference(images, first, second) <= rms
        found.append(np.stack([first[close], second[close]], axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    pairs = np.sort(pairs, axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], looked_at <= MOST_CANDIDATES


def _alike(hashes: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield arrays (first, second) of positions whose hashes differ in at most `bits` bits, each pair once.

    Of bits + 1 bands, one at least is equal (pigeonhole), so only images that share a band are compared.
    """
    edges = np.linspace(0, 64, bits + 2).astype(int).tolist()
    shifts = [np.uint64(low) for low in edges[:-1]]
    masks = [np.uint64((1 << (high - low)) - 1) for low, high in zip(edges, edges[1:])]
    for number in range(bits + 1):
        band = (hashes >> shifts[number]) & masks[number]
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        distance, at = 1, np.arange(len(order) - 1)
        while len(at := at[at + distance < len(order)]):
            at = at[ordered[at] == ordered[at + distance]]
            for begin in range(0, len(at), _CHUNK * 64):
                part = at[begin : begin + _CHUNK * 64]
                first, second = order[part], order[part + distance]
                differing = hashes[first] ^ hashes[second]
                near = np.bitwise_count(differing) <= bits
                for earlier in range(number):  # found already, by an earlier band
                    near &= ((differing >> shifts[earlier]) & masks[earlier]) != 0
                if near.any():
                    yield first[near], second[near]
            distance += 1


def _difference(images: np.ndarray | _Rows, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square difference of the pixels of each pair."""
    result = np.empty(len(first))
    for at in range(0, len(first), _CHUNK):
        part = slice(at, at + _CHUNK)
        gap = images[first[part]].astype(np.int16) - images[second[part]]
        result[part] = np.sqrt((gap.astype(np.float32) ** 2).reshape(len(gap), -1).mean(1))
    return result
