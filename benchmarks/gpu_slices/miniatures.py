"""Generators of every family and classifiers of every network in miniature, which correctness.py trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cases import replicas
from benchmarks.gpu_slices.bench import SEED, Bench
from labelmint.classifiers.fit import ClassifierLearner
from labelmint.classifiers.job import Job
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.training.run import Run, Setup
from labelmint.training.settings import Training
from tests.family_settings import FAMILIES, LABELS, SHAPE

STEPS = 6
CLASSES = 10
CLASSIFIERS = {
    "small_cnn": Classifier(network="small_cnn"),
    "linear": Classifier(network="linear"),
    "efficientnet-b0": Classifier(network="efficientnet-b0", stem_stride=1),
    "small_cnn, sgd": Classifier(network="small_cnn", optimizer="sgd", learning_rate=0.01),
}


def make_generators(bench: Bench, names: Sequence[str], device: torch.device, bf16: bool) -> list[Run]:
    """Two replicas of each family."""
    training = Training(
        batch_size=8 if bench.tiny else 32,
        ema_half_life=200,
        learning_rate_decay="linear",
        translation=0.2,
        cutout=0.4,
        brightness=0.5,
        contrast=0.5,
        saturation=0.5,
        rotation=20.0,
    )
    runs = []
    for name in names:
        options: dict[str, Any] = {"name": name, "classes": LABELS, "mirrored": True, "images": 48}
        created, images = replicas(FAMILIES[name], training, SHAPE, steps=STEPS, count=2, **options)
        setup = Setup(device, bf16=bf16)
        runs += [Run(position, replica, images, setup) for position, replica in enumerate(created)]
    for run in runs:
        run.build(resident=True)
    return runs


def make_classifiers(
    bench: Bench, names: Sequence[str], device: torch.device, bf16: bool
) -> list[ClassifierLearner]:
    size, batch = (16, 8) if bench.tiny else (28, 32)
    labels = np.arange(200) % CLASSES
    pool = Pool("synthetic", bench.random_images(len(labels), (1, size, size)), labels)
    learners = []
    for position, name in enumerate(names):
        recipe = CLASSIFIERS[name]
        params = Classifier(
            network=recipe.network,
            stem_stride=recipe.stem_stride,
            optimizer=recipe.optimizer,
            learning_rate=recipe.learning_rate,
            steps=STEPS,
            evaluations=1,
            batch_size=batch,
        )
        job = Job(name, [pool], CLASSES, params, SEED, Path(), [label % 2 == 0 for label in range(CLASSES)])
        learners.append(ClassifierLearner(position, job, device, bf16))
    for learner in learners:
        learner.build(resident=True)
    return learners
