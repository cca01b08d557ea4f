"""From labelled images to trained generators: plan the replicas, train them, assemble their archive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.settings import Family
from labelmint.runtime.settings import Compute
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica, Trained
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm

_FAMILY, _TRAINING, _COMPUTE = Family(), Training(), Compute()
_PREVIEW_ROWS = 12


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    family_name: str = "dcgan",
    family: Family = _FAMILY,
    *,
    training: Training = _TRAINING,
    seed: int = 0,
    compute: Compute = _COMPUTE,
) -> GeneratorArchive:
    """Train one generator per class, or one for all classes, as family.labels says.

    The weights are those that the stage train_generators gives for the same images and seed.

    images: uint8 (N, C, S, S). labels: int64 (N,) from 0, or multi-hot (N, A).
    classes: names of the classes or attributes.
    Returns: the input of gans.sampling.sample_dataset and gans.archive.save.
    Raises: InputError when the family does not support these labels; DivergedError when training fails.
    """
    registry.check(family_name, family, classes)
    label_spec = LabelSpec.of(family, classes, labels)
    mirror, rows = [False] * len(classes), np.arange(len(images))
    replicas = plan_replicas(
        family_name, family, training, label_spec, rows=rows, labels=labels, mirror=mirror, seed=seed
    )
    with closing(train_arm(family_name, replicas, ArrayImages(images), compute)) as results:
        trained = [result for _, result in sorted(results, key=lambda each: each[0])]
    return assemble(family_name, family, label_spec, trained, {"images": len(images), "seed": seed})


def plan_replicas(
    family_name: str,
    family: Family,
    training: Training,
    label_spec: LabelSpec,
    *,
    rows: np.ndarray,
    labels: np.ndarray,
    mirror: list[bool],
    seed: int,
    checkpoints: Path | None = None,
    data: str = "",
) -> list[Replica]:
    """The replicas of an arm: `training.ensemble` per class for `per_class` labels, else that many in all.

    rows: int64 (n,), indices of the arm's images. labels: of these images, int64 (n,) or multi-hot (n, A).
    mirror: per class or attribute, whether its images may be flipped. checkpoints: folder, or None for none.
    data: identifies the images in checkpoints.
    """
    mirrored = np.array(mirror)

    def replica(name: str, number: int, own: slice | np.ndarray, **conditioning: Any) -> Replica:
        return Replica(
            name,
            family_name,
            family,
            training,
            rows[own],
            derive_seed(seed, "generator", number),
            mirrored=bool(mirrored.all()) if labels.ndim > 1 else mirrored[labels[own]],
            checkpoints=checkpoints / f"class-{number}" if checkpoints else None,
            data=data,
            **conditioning,
        )

    if family.labels == "per_class":
        first = [replica(name, label, labels == label) for label, name in enumerate(label_spec.names)]
    elif family.labels == "none":
        first = [replica("all", 0, slice(None))]
    else:
        conditioning = {
            "labels": labels if family.labels == "conditional" else labels.astype(np.uint8),
            "label_length": label_spec.vectors.shape[1],
            "preview_labels": label_spec.vectors[label_spec.commonest(_PREVIEW_ROWS)],
        }
        first = [replica("all", 0, slice(None), **conditioning)]
    return [each for one in first for each in (one, *_others(one, training.ensemble))]


def _others(first: Replica, ensemble: int) -> list[Replica]:
    """The further replicas of an ensemble, which differ in their seeds."""
    return [
        replace(
            first,
            name=f"{first.name} ({number})",
            seed=derive_seed(first.seed, "ensemble", number),
            checkpoints=first.checkpoints
            and first.checkpoints.with_name(f"{first.checkpoints.name}-{number}"),
        )
        for number in range(2, ensemble + 1)
    ]


def assemble(
    family_name: str,
    family: Family,
    label_spec: LabelSpec,
    trained: Sequence[Trained],
    trained_on: dict[str, Any],
) -> GeneratorArchive:
    """One archive of the generators in `trained`. trained_on: description of the training data."""
    shape = trained[0].previews.shape[3:]
    weights = stack([each.weights for each in trained])
    return GeneratorArchive(
        family_name, family, (shape[0], shape[1], shape[2]), label_spec, weights, trained_on
    )


def stack(weights: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Weights of several networks of one architecture, stacked along a new first dimension."""
    return {name: np.stack([each[name] for each in weights]) for name in weights[0]}
