"""Synthetic images that a classifier of real ones is confident of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labelmint.classifiers.pools import Pool, Sampler
from labelmint.data.storage.splits import derive_seed
from labelmint.runtime.progress import say
from labelmint.runtime.words import counted

Confidence = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Images and labels -> the probability that a classifier gives each image's own label, float64 (N,)."""

MOST_SETS = 10
"""Sets of synthetic images, the stored one included, that a filter chooses from."""


def filtered(stored: Pool, sampler: Sampler, confidence: Confidence, threshold: float, seed: int) -> Pool:
    """As many images of each class, all with more confidence than `threshold` where there are enough.

    Images that have less are replaced by ones of further sets, so that no class becomes rare and none has
    copies. A class that is still short after MOST_SETS sets takes its most confident images of all sets, so
    it has at least its most confident tenth. The same holds for each pattern of attributes.

    stored: the arm's set. sampler: of further sets.
    """
    pool, certain = stored, confidence(stored.images, stored.labels)
    passed, sets = int((certain > threshold).sum()), 1
    while (short := certain <= threshold).any() and sets < MOST_SETS:
        sampled = sampler.sample(stored.images_per_label, derive_seed(seed, "filtered", sets))
        more = stored.replaced(*sampled).take(_of_groups(pool.labels[short], sampled[1]))
        sets += 1
        if not len(more):  # rare patterns of attributes may be in no image of a set
            continue
        certain = np.concatenate([certain, confidence(more.images, more.labels)])
        images, labels = ((pool.images, more.images), (pool.labels, more.labels))
        joined = stored.replaced(np.concatenate(images), np.concatenate(labels))
        kept = _most_confident(joined.labels, certain, threshold, len(stored))
        pool, certain = joined.take(kept), certain[kept]
    say(
        f"filter: {passed:,} of {len(stored):,} synthetic images pass, "
        f"{len(stored) - int(short.sum()):,} of as many chosen from {counted(sets, 'such set')}"
    )
    return pool


def _groups(labels: np.ndarray) -> np.ndarray:
    """Number of each image's class or pattern of attributes, int64 (N,)."""
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(len(labels))


def _of_groups(wanted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of the labels whose group is among the wanted ones."""
    groups = _groups(np.concatenate([wanted, labels]))
    return np.flatnonzero(np.isin(groups[len(wanted) :], groups[: len(wanted)]))


def _most_confident(labels: np.ndarray, certain: np.ndarray, threshold: float, count: int) -> np.ndarray:
    """Indices, ascending, of `count` images with as many of each group as the first `count` have.

    Those above the threshold come first, in their order, then the most confident of the others.
    """
    above = certain > threshold
    order = np.lexsort((np.where(above, 0, -certain), ~above))
    groups = _groups(labels)
    sizes = np.bincount(groups[:count], minlength=groups.max() + 1)
    chosen = [order[groups[order] == group][:size] for group, size in enumerate(sizes)]
    return np.sort(np.concatenate(chosen))
