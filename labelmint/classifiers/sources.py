"""What classifiers are trained on, of real images: the baseline, and its controls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labelmint.classifiers.fit import Pool
from labelmint.classifiers.settings import AUGMENTATIONS, VIEWS, Augmentation, Classifier
from labelmint.classifiers.views import view
from labelmint.data.storage.splits import derive_seed, subset
from labelmint.data.storage.tensors import load_set
from stages.paths import Arm, Paths


@dataclass(frozen=True)
class Source:
    """pools: its images. augmentation: in place of the recipe's; None leaves that. view: what the pools show, of views.VIEWS."""

    pools: list[Pool]
    augmentation: Augmentation | None = None
    view: str | None = None


def real_pool(layout: Paths, arm: Arm) -> Pool:
    """The real images that this arm's generator had."""
    images, labels = load_set(layout.tensors)
    chosen = subset(labels, arm.percent, arm.seed)
    return Pool("real", np.asarray(images[chosen]), labels[chosen])


def real_source(name: str, layout: Paths, arm: Arm, params: Classifier) -> Source:
    """name: one of params.REAL_SOURCES."""
    pool = real_pool(layout, arm)
    if name in AUGMENTATIONS:
        return Source([pool], AUGMENTATIONS[name])
    if name == "real_shuffled":
        return Source([shuffled(pool, arm.seed)])
    if name == "real_bootstrap":
        return Source([replace(pool, bootstrap=arm.seed)])
    return viewed([pool], name)


def viewed(pools: list[Pool], name: str) -> Source:
    """The pools as the last word of the source's name has it."""
    last = name.split("_")[-1]
    if last not in VIEWS:
        return Source(pools)
    return Source([replace(pool, images=view(last, pool.images)) for pool in pools], view=last)


def shuffled(pool: Pool, seed: int) -> Pool:
    """The same images, their labels in another order: nothing can be learned but how often each label comes."""
    order = np.random.default_rng(derive_seed(seed, "shuffled labels")).permutation(len(pool.labels))
    return replace(pool, labels=pool.labels[order])
