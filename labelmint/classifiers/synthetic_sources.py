"""What classifiers are trained on, of minted images: alone, beside real ones, in other numbers; and the controls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from labelmint.classifiers.fit import Pool
from labelmint.classifiers.settings import AUGMENTATIONS, Classifier
from labelmint.classifiers.sources import Source, real_pool, shuffled, viewed
from labelmint.data.storage.splits import at_most, derive_seed
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive, registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.initialization import draw_latents, initialize, with_own_statistics
from labelmint.gans.sampling import sample_dataset
from labelmint.random_streams import Stream
from stages.paths import Arm, Paths

_STATISTICS_BATCHES, _BATCH = 4, 256


def synthetic_source(name: str, layout: Paths, arm: Arm, params: Classifier) -> Source:
    """name: one of params.MINTED_SOURCES, or synthetic_<number> of images per class."""
    minted, generators = Pool("synthetic", *load_set(layout.synthetic(arm))), layout.generator(arm)
    last = name.split("_")[-1]
    if name == "mixed":
        share = params.real_fraction
        return Source([replace(real_pool(layout, arm), share=share), replace(minted, share=1 - share)])
    if name == "untrained":
        made = sample_dataset(untrained(archive.load(generators), arm.seed), per_label(minted.labels), arm.seed)
        return Source([replace(minted, images=made.images, labels=made.labels)])
    if name == "synthetic_equal":
        return Source([thinned(minted, len(real_pool(layout, arm).labels), arm.seed)])
    if name == "synthetic_fresh":
        return Source([replace(minted, renewal=FreshSamples(generators, per_label(minted.labels), arm.seed))])
    if name == "synthetic_unaugmented":
        return Source([minted], AUGMENTATIONS[name])
    if name == "synthetic_shuffled":
        return Source([shuffled(minted, arm.seed)])
    if last.isdigit():
        return Source([sized(minted, generators, int(last), arm.seed)])
    return viewed([minted], name)


def names(params: Classifier) -> list[str]:
    """Of the sources that params ask for, those of minted images."""
    asked = [name for name in params.sources if not name.startswith("real")]
    return asked + [f"synthetic_{count}" for count in params.sweep]


@dataclass(frozen=True)
class FreshSamples:
    """New images of every epoch, from latents that no other epoch has. folder: of the generators."""

    folder: Path
    images_per_class: int
    seed: int

    def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        made = sample_dataset(archive.load(self.folder), self.images_per_class, derive_seed(self.seed, "fresh", epoch))
        return made.images, made.labels


def per_label(labels: np.ndarray) -> int:
    """Images per class, or per attribute, as `synthesis` counts them. labels: int64 (N,), or multi-hot (N, A)."""
    return len(labels) // (labels.shape[1] if labels.ndim > 1 else len(np.unique(labels)))


def thinned(pool: Pool, total: int, seed: int) -> Pool:
    """At most `total` images, of each class as many as may be."""
    groups = 1 if pool.labels.ndim > 1 else len(np.unique(pool.labels))
    chosen = at_most(pool.labels, -(-total // groups), seed, "equal")
    if len(chosen) > total:  # the last few classes give one less
        chosen = np.sort(np.random.default_rng(derive_seed(seed, "equal")).permutation(chosen)[:total])
    return replace(pool, images=pool.images[chosen], labels=pool.labels[chosen])


def sized(pool: Pool, generators: Path, per_class: int, seed: int) -> Pool:
    """So many images of each class (or attribute): some of those at hand, or more that are minted."""
    if per_class <= per_label(pool.labels):
        many = per_class * (pool.labels.shape[1] if pool.labels.ndim > 1 else 1)
        chosen = at_most(pool.labels, many, seed, "sweep")
        return replace(pool, images=pool.images[chosen], labels=pool.labels[chosen])
    made = sample_dataset(archive.load(generators), per_class, seed)
    return replace(pool, images=made.images, labels=made.labels)


def untrained(trained: GeneratorArchive, seed: int) -> GeneratorArchive:
    """The same networks with initial weights, and batch normalisation's statistics of those."""
    family, vectors = trained.family, torch.from_numpy(trained.label_spec.vectors)
    states = []
    for place in range(len(next(iter(trained.weights.values())))):
        network = registry.load(trained.family_name).build_generator(family, trained.shape, vectors.shape[1])
        rng = torch.Generator().manual_seed(derive_seed(seed, "untrained", place))
        initialize(network, family.initialization, rng)
        stream = Stream(derive_seed(seed, "untrained statistics", place))
        batches = [
            (draw_latents(_BATCH, family, stream), vectors[stream.integers(0, len(vectors) - 1, _BATCH)])
            for _ in range(_STATISTICS_BATCHES)
        ]
        states.append(with_own_statistics(network, batches).state_dict())
    weights = {name: np.stack([state[name].numpy() for state in states]) for name in trained.weights}
    return replace(trained, weights=weights)
