"""Generators from images in memory, without files: for notebooks and other programs. The stage is run.py."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from labelmint.gans import registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.settings import Family
from labelmint.runtime.settings import Compute
from labelmint.training.images import ArrayImages
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm
from stages.paths import Arm
from stages.train_generators import Params, plan

_FAMILY, _TRAINING, _COMPUTE = Family(), Training(), Compute()


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    family_name: str = "dcgan",
    family: Family = _FAMILY,
    training: Training = _TRAINING,
    seed: int = 0,
    compute: Compute = _COMPUTE,
) -> GeneratorArchive:
    """Train one generator per class, or one for all, as family.labels says; with the stage's weights for the same images and seed.

    images: uint8 (N, C, S, S). labels: int64 (N,) from 0, or multi-hot (N, A). classes: names of the classes or attributes.
    Returns: what stages.synthesize.sampling.mint_set mints from, and archive.save saves.
    Raises: InputError when the family cannot take these labels; trainer.Diverged.
    """
    registry.check(family_name, family, classes)
    label_spec = LabelSpec.of(family, classes, labels)
    params = Params(Arm(family_name, 100, seed), family, training, compute)
    facts = {"mirror": [False] * len(classes)}
    replicas = plan(params, np.arange(len(images)), labels, facts, label_spec, None, "")
    with closing(train_arm(family_name, replicas, ArrayImages(images), compute)) as results:
        trained = [result for _, result in sorted(results, key=lambda each: each[0])]
    weights = {name: np.stack([each.weights[name] for each in trained]) for name in trained[0].weights}
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    return GeneratorArchive(family_name, family, shape, label_spec, weights, {"images": len(images), "seed": seed})
