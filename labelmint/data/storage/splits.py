"""Stratified splits, nested fractions, and the seeds of a replicate."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(*parts: object) -> int:
    """Seed of one purpose, in [0, 2^63), e.g. of the parts (0, "subset", 3).

    Different purposes and replicates have different seeds.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def count(total: int, percent: int) -> int:
    """Number of images that `percent` % of `total` are: rounded half up, at least one unless `total` is 0."""
    return max(min(total, 1), (total * percent + 50) // 100)


def strata(labels: np.ndarray) -> np.ndarray:
    """Stratum of each image, int64 (N,): its class, or 0 where labels are multi-hot (N, A).

    Patterns of multi-hot labels may be too rare to split.
    """
    return labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)


def subset(labels: np.ndarray, percent: int, seed: int, leave: int = 0) -> np.ndarray:
    """Indices, ascending, of `percent` % of each class, but for the last `leave` of a class with more.

    labels: int64 (N,), or multi-hot (N, A), which are drawn without strata. Subsets of one seed nest: the 60
    % contain the 40 %, since each is a prefix of the same shuffled order of its class. The draw of a class
    does not depend on the other classes.
    """
    chosen, labels = [], strata(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng(derive_seed(seed, "subset", int(label))).permutation(members)
        most = max(1, len(members) - leave)
        chosen.append(order[: min(most, count(len(members), percent))])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def hold_out(labels: np.ndarray, percent: int, *purpose: object) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, held out), ascending; `percent` % of each class are held out, but never all of several.

    purpose: seed's parts.
    """
    held = subset(labels, percent, derive_seed(*purpose), leave=1)
    return np.setdiff1d(np.arange(len(labels)), held), held


def at_most(labels: np.ndarray, per_class: int, *purpose: object) -> np.ndarray:
    """Indices, ascending, of at most `per_class` images of each class. purpose: seed's parts."""
    chosen, labels = [], strata(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng(derive_seed(*purpose, int(label))).permutation(members)
        chosen.append(order[:per_class])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
