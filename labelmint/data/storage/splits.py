"""Stratified splits, nested fractions, and the seeds of a replicate."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2^63) for one purpose, such as derive_seed(0, "subset", 3): replicates and purposes never share one."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def count(total: int, percent: int) -> int:
    """How many of `total` images are `percent` % of them: rounded half up, at least one where there is one."""
    return max(min(total, 1), (total * percent + 50) // 100)


def strata(labels: np.ndarray) -> np.ndarray:
    """int64 (N,): the class; or one stratum for all where labels are multi-hot (N, A), whose patterns may be too rare to split."""
    return labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)


def subset(labels: np.ndarray, percent: int, seed: int) -> np.ndarray:
    """Indices, ascending, of `percent` % of each class.

    labels: int64 (N,), or multi-hot (N, A), of which the draw is plain. Subsets of one seed nest (40 % lies within 60 %), since each is a prefix of the same
    shuffled order of its class. A class's draw does not depend on the other classes.
    """
    chosen, labels = [], strata(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng(derive_seed(seed, "subset", int(label))).permutation(members)
        chosen.append(order[: count(len(members), percent)])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def hold_out(labels: np.ndarray, percent: int, *purpose: object) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, held out), ascending, with `percent` % of each class held out. `purpose` seeds the draw."""
    held = subset(labels, percent, derive_seed(*purpose))
    return np.setdiff1d(np.arange(len(labels)), held), held


def at_most(labels: np.ndarray, per_class: int, *purpose: object) -> np.ndarray:
    """Indices, ascending, of at most `per_class` of each class. `purpose` seeds the draw."""
    chosen, labels = [], strata(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(np.random.default_rng(derive_seed(*purpose, int(label))).permutation(members)[:per_class])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
