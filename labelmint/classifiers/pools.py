"""Pools of labelled images that a classifier is trained on, and the batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from labelmint.classifiers.views import view
from labelmint.data.storage.splits import at_most, derive_seed, hold_out, strata, subset

Images = tuple[np.ndarray, np.ndarray]
"""Images, uint8 (N, C, S, S), and labels, int64 (N,) or float32 multi-hot (N, A)."""


class Sampler(Protocol):
    """A generator of labelled images."""

    def sample(self, images_per_class: int, seed: int) -> Images: ...

    def untrained(self, seed: int) -> Sampler:
        """The same networks with initial weights."""
        ...


@dataclass(frozen=True)
class Renewal:
    """The images of each further epoch, from latents that no other epoch has."""

    sampler: Sampler
    images_per_class: int
    seed: int

    def draw(self, epoch: int) -> Images:
        """epoch: counts from 1. Epoch 0 has the pool's own images."""
        return self.sampler.sample(self.images_per_class, derive_seed(self.seed, "fresh", epoch))


@dataclass(frozen=True)
class Pool:
    """Labelled images of one origin, and their fraction of each batch.

    images: uint8 (N, C, S, S). labels: int64 (N,), or float32 multi-hot (N, A).
    indices: int64 (N,), of the images within the real training set or the arm's synthetic set; None if they
    are stored nowhere. renewal: replaces the images in every epoch. bootstrap: seed of a draw with
    replacement among the images trained on; None trains on each.
    """

    origin: Literal["real", "synthetic"]
    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray | None = None
    fraction: float = 1.0
    renewal: Renewal | None = None
    bootstrap: int | None = None

    @classmethod
    def real(cls, images: np.ndarray, labels: np.ndarray, percent: int, seed: int) -> Pool:
        """The subset that the generators of (percent, seed) had. images, labels: the real training set."""
        chosen = subset(labels, percent, seed)
        return cls("real", np.asarray(images[chosen]), labels[chosen], chosen)

    @classmethod
    def synthetic(cls, images: np.ndarray, labels: np.ndarray) -> Pool:
        return cls("synthetic", images, labels, np.arange(len(labels)))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multi_hot(self) -> bool:
        return self.labels.ndim > 1

    @property
    def images_per_label(self) -> int:
        """Images per class or attribute, as `synthesis.images_per_class` counts them."""
        return len(self) // (self.labels.shape[1] if self.multi_hot else len(np.unique(self.labels)))

    def take(self, chosen: np.ndarray) -> Pool:
        """The images with these indices."""
        indices = None if self.indices is None else self.indices[chosen]
        return replace(self, images=self.images[chosen], labels=self.labels[chosen], indices=indices)

    def replaced(self, images: np.ndarray, labels: np.ndarray) -> Pool:
        """Images that are stored nowhere in place of these."""
        return replace(self, images=images, labels=labels, indices=None)

    def weighted(self, fraction: float) -> Pool:
        return replace(self, fraction=fraction)

    def renewed(self, sampler: Sampler, seed: int) -> Pool:
        return replace(self, renewal=Renewal(sampler, self.images_per_label, seed))

    def bootstrapped(self, seed: int) -> Pool:
        return replace(self, bootstrap=seed)

    def viewed(self, name: str) -> Pool:
        return replace(self, images=view(name, self.images))

    def shuffled(self, seed: int) -> Pool:
        """The same images with permuted labels: only the frequencies of the labels can be learned."""
        order = np.random.default_rng(derive_seed(seed, "shuffled labels")).permutation(len(self))
        return replace(self, labels=self.labels[order])

    def thinned(self, total: int, seed: int) -> Pool:
        """At most `total` images, balanced over the classes as far as possible."""
        groups = 1 if self.multi_hot else len(np.unique(self.labels))
        chosen = at_most(self.labels, -(-total // groups), seed, "equal")
        if len(chosen) > total:  # a few classes give one image less
            rng = np.random.default_rng(derive_seed(seed, "equal"))
            chosen = np.sort(rng.permutation(chosen)[:total])
        return self.take(chosen)

    def first_per_label(self, count: int, *purpose: object) -> Pool:
        """`count` images per class or attribute. `purpose` seeds the draw."""
        most = count * (self.labels.shape[1] if self.multi_hot else 1)
        return self.take(at_most(self.labels, most, *purpose))

    def resampled(self) -> Pool:
        """The pool after its bootstrap: as many images drawn with replacement within each class."""
        if self.bootstrap is None:
            return self
        rng, chosen = np.random.default_rng(derive_seed(self.bootstrap, "bootstrap")), np.arange(len(self))
        groups = strata(self.labels)
        for label in np.unique(groups):
            members = np.flatnonzero(groups == label)
            chosen[members] = rng.choice(members, len(members))
        return replace(self.take(chosen), bootstrap=None)


def split_holdout(pools: list[Pool], percent: int, most: int, seed: int) -> tuple[list[Pool], Images]:
    """(pools to train on, images to choose the best checkpoint on), a partition of the pools.

    most: images held out per class and pool.
    """
    trained, held = [], []
    for position, pool in enumerate(pools):
        _, out = hold_out(pool.labels, percent, seed, "holdout", position)
        out = out[at_most(pool.labels[out], most, seed, "fewer", position)]
        rest = np.setdiff1d(np.arange(len(pool)), out)
        # The bootstrap comes last: copies of held-out images would otherwise be trained on.
        trained.append(pool.take(rest).resampled())
        held.append((pool.images[out], pool.labels[out]))
    images, labels = (np.concatenate(parts) for parts in zip(*held))
    return trained, (images, labels)


def draw_batch(pools: list[Pool], size: int, seed: int) -> np.ndarray:
    """Indices into all pools together, int64 (size,), drawn with replacement, each pool with its fraction."""
    rng, chosen, first = np.random.default_rng(seed), np.empty(size, np.int64), 0
    origin = rng.choice(len(pools), size, p=[pool.fraction for pool in pools])
    for position, pool in enumerate(pools):
        rows = np.flatnonzero(origin == position)
        chosen[rows] = first + rng.integers(len(pool), size=len(rows))
        first += len(pool)
    return chosen


def epoch_batch(total: int, step: int, size: int, seed: int) -> np.ndarray:
    """Indices of one step, int64 (size,). Every epoch takes all of `total` once, in an order of its own."""
    at = np.arange(step * size, (step + 1) * size)
    first, last = int(at[0]) // total, int(at[-1]) // total
    orders = [_epoch_order(total, seed, epoch) for epoch in range(first, last + 1)]
    order = np.concatenate(orders) if len(orders) > 1 else orders[0]
    return order[at - first * total]


@lru_cache(maxsize=2)
def _epoch_order(total: int, seed: int, epoch: int) -> np.ndarray:
    """Cached: every step of an epoch uses it."""
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(total)


def gather(pools: list[Pool], chosen: np.ndarray) -> Images:
    """A batch. chosen: int64 (B,), indices into all pools together."""
    images = np.empty((len(chosen), *pools[0].images.shape[1:]), np.uint8)
    labels = np.empty((len(chosen), *pools[0].labels.shape[1:]), pools[0].labels.dtype)
    first = 0
    for pool in pools:
        rows = np.flatnonzero((first <= chosen) & (chosen < first + len(pool)))
        images[rows] = pool.images[chosen[rows] - first]
        labels[rows] = pool.labels[chosen[rows] - first]
        first += len(pool)
    return images, labels
