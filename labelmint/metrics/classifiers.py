"""How well each classifier of an arm and of its baseline does on the test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import archive, targets
from labelmint.classifiers.fit import predict, resampled
from labelmint.classifiers.settings import REAL_SOURCES
from labelmint.classifiers.sources import real_source
from labelmint.classifiers.synthetic_sources import synthetic_source
from labelmint.classifiers.views import view
from labelmint.data.storage.splits import at_most
from labelmint.metrics import accuracy, attributes, content, nearest_neighbour
from labelmint.metrics.differences import paired
from stages.paths import Arm, Paths

GAN_TEST_PER_CLASS = 200
GAN_TEST_MOST = 2000
NEIGHBOUR_MOST = 60_000
_OF_TEST = ("accuracy", "macro_recall", "worst_class_recall", "exact_match", "majority", "difference")
_DIFFERENCE = ("difference", "difference_low", "difference_high")
_KEPT = ("n_real", "n_synthetic", "n_holdout", "steps", "best_step", "view", "holdout_accuracy")


def rows(layout: Paths, arm: Arm, split: str, test: tuple[np.ndarray, np.ndarray], names: list[str], device: torch.device) -> list[dict[str, Any]]:  # fmt: skip
    """One row for each source, the baseline's first. split: of the test images. names: of the classes, or of the attributes."""
    found, rights = [], {}
    images, labels = test
    for folder in (layout.baseline(arm), layout.classifiers(arm)):
        facts = archive.load(folder)
        for source, made in facts.items():
            if made["simple_classifier"]:
                continue
            told = predict_with(folder, source, images, device)
            measured = measure(labels, told, names)
            rights[source] = correct_per_image(labels, told)
            row = {"source": source, **{name: made[name] for name in _KEPT}, **measured}
            row["holdout_gap"] = made["holdout_accuracy"] - measured["accuracy"]
            row |= dict(
                zip(_DIFFERENCE, (0.0, 0.0, 0.0) if source == "real" else paired(rights[source], rights["real"]))
            )
            row |= _weak(layout, arm, folder, source, facts, test, device)
            row["measured"] = _measured(facts, source, split, images, row)
            found.append({**row, "told": told})
    return found


def measure(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> dict[str, Any]:
    """accuracy and its kin of one classifier, of classes or of attributes as the labels have it."""
    if labels.ndim > 1:
        return attributes.summary(labels, predicted, names)
    return accuracy.summary(labels, predicted, len(names))


def correct_per_image(labels: np.ndarray, told: np.ndarray) -> np.ndarray:
    """float (N,): whether each image is told right, or what share of its attributes is."""
    right = (labels > 0.5) == (told > 0.5) if labels.ndim > 1 else labels == told
    return right.astype(float) if right.ndim == 1 else right.mean(1)


def _measured(facts: dict[str, Any], source: str, split: str, images: np.ndarray, row: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    """How each number was had."""

    def how(network: str) -> dict[str, Any]:
        return _how(split, len(images), images, facts[source]["view"], network)

    found = {name: how(_hash(facts[source])) for name in _OF_TEST if name in row}
    held = found["accuracy"] | {"split": "held-out images of the source", "n": row["n_holdout"]}
    found |= {"holdout_accuracy": held, "holdout_gap": held | {"reference": split, "n_reference": len(images)}}
    if "accuracy_linear" in row:
        found["accuracy_linear"] = how(_hash(facts[f"{source}-linear"]))
    if "accuracy_nearest_neighbour" in row:
        found["accuracy_nearest_neighbour"] = how("none: pixels")
    return found


def _how(split: str, n: int, images: np.ndarray, shown: str, network: str) -> dict[str, Any]:
    size = images.shape[-1]
    resize = f"none: {size} x {size} pixels as prepared"
    return {"split": split, "n": n, "resize": resize, "view": shown, "network": network}


def _hash(facts: dict[str, Any]) -> str:
    return f"sha256 {facts['weights_sha256']}"


def _weak(
    layout: Paths, arm: Arm, folder: Path, source: str, facts: dict[str, Any], test: tuple[np.ndarray, np.ndarray], device: torch.device
) -> dict[str, float]:  # fmt: skip
    """Accuracy of the weak checks that were asked for."""
    params, found = archive.params_of(facts[source]), {}
    images, labels = test
    if (name := f"{source}-linear") in facts:
        found["accuracy_linear"] = float(correct_per_image(labels, predict_with(folder, name, images, device)).mean())
    if "nearest_neighbour" in params.simple_classifiers:
        make = real_source if source in REAL_SOURCES else synthetic_source
        pools = [resampled(pool) for pool in make(source, layout, arm, params).pools]
        known, answers = (np.concatenate([getattr(pool, part) for pool in pools]) for part in ("images", "labels"))
        if len(known) > NEIGHBOUR_MOST:
            few = np.random.default_rng(0).permutation(len(known))[:NEIGHBOUR_MOST]
            known, answers = known[few], answers[few]
        told = nearest_neighbour.classify(view(facts[source]["view"], images), known, answers)
        found["accuracy_nearest_neighbour"] = float(correct_per_image(labels, told).mean())
    return found


def gan_test(baseline: Path, synthetic: tuple[np.ndarray, np.ndarray], names: list[str], device: torch.device) -> dict[str, Any]:  # fmt: skip
    """Does the classifier that had the real images agree with the minted labels (Shmelkov et al. 2018)?

    accuracy with its 95 % interval; recalls: by class; by attribute the share of images on which both agree.
    """
    images, labels = synthetic
    several, places = labels.ndim > 1, content.order(images, labels)
    seen = places[at_most(labels[places], GAN_TEST_MOST if several else GAN_TEST_PER_CLASS, "gan_test")]
    measured = measure(labels[seen], predict_with(baseline, "real", images[seen], device), names)
    recalls = [each["accuracy"] for each in measured["attributes"]] if several else measured["recalls"]
    facts = archive.load(baseline)["real"]
    how = _how("synthetic", len(seen), images, facts["view"], _hash(facts))
    per_class = [len(seen)] * len(names) if several else np.bincount(labels[seen], minlength=len(names)).tolist()
    return {
        **{name: measured[name] for name in ("accuracy", "accuracy_low", "accuracy_high")},
        "recalls": recalls,
        "measured": {"accuracy": how, "recalls": how | {"n": per_class}},
    }


def predict_with(folder: Path, name: str, images: np.ndarray, device: torch.device) -> np.ndarray:
    """What one stored classifier sees: classes, int64 (N,), or attributes, int64 (N, A) of 0 and 1."""
    facts = archive.load(folder)[name]
    network = archive.network(folder, name).to(device)
    return targets.decide(predict(network, view(facts["view"], images), device), facts["multi_hot"])
