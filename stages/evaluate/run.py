"""The stage: measure one arm and its baseline on the test set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.evaluate import accuracy, attributes
from stages.evaluate.distances import frechet, kernel_distance, nearest_distances, neighbourhoods
from stages.prepare.files import load_json, save_json
from stages.prepare.layout import Arm, Layout
from stages.prepare.splits import at_most, subset
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.train_classifiers import archive, feature_network, targets
from stages.train_classifiers.fit import predict

_NEIGHBOURS = 5
_MOST_POINTS = 5000
_NEAR_QUANTILE = 0.01
_GAN_TEST_PER_CLASS = 200
_GAN_TEST_MOST = 2000
# Of images without labels there is nothing to be told.
_UNTOLD = dict.fromkeys(
    ["steps", "best_step", "accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall"]
)


@dataclass(frozen=True)
class Params:
    arm: Arm


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    started, arm = time.perf_counter(), params.arm
    facts = load_json(layout.tensors / "dataset.json")
    test = load_set(layout.test_tensors)
    synthetic = load_set(layout.synthetic(arm))
    images, labels = load_set(layout.tensors)
    real = np.asarray(images[subset(labels, arm.percent, arm.seed)])

    space = Space(feature_network.load(layout.feature_network), np.asarray(test[0]))
    likeness = {
        "real": space.likeness(real),
        "synthetic": space.likeness(np.asarray(synthetic[0])) | {"memorised": space.memorised(synthetic[0], real)},
    }
    names, minted_kind = facts["classes"], load_json(layout.synthetic(arm) / "manifest.json")["labels"]
    rows = []
    for folder in (layout.baseline(arm), layout.classifiers(arm)):
        for source, made in archive.load(folder).items():
            measured = measure(test[1], predict_with(folder, source, test[0]), names)
            say(f"{arm.name} {source}: accuracy {_shown(measured)}")
            sizes = {name: made[name] for name in ("n_real", "n_synthetic", "steps", "best_step")}
            rows.append({"source": source, **sizes, **measured, **likeness.get(source, {})})
    if minted_kind == "none":
        say(f"{arm.name} synthetic: no labels, so no classifier; how like the test images they are is measured")
        rows.append({"source": "synthetic", "n_real": 0, "n_synthetic": len(synthetic[0]), **_UNTOLD, **likeness["synthetic"]})  # fmt: skip

    whose = {"dataset": facts["name"], "generator": arm.generator, "percent": arm.percent, "seed": arm.seed}
    rows = [{**whose, **row} for row in rows]
    for row in rows:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        tracker.log_metrics({f"{name}/{row['source']}": value for name, value in numbers.items()})
    agreement = None if minted_kind == "none" else gan_test(layout.baseline(arm), synthetic, names)
    content = {
        "classes": names,
        "labels": facts["labels"],
        "minted_labels": minted_kind,
        "rows": rows,
        "gan_test": agreement,
        "protocol": protocol(facts, space),
    }
    save_json(layout.metrics(arm), content)
    save_json(layout.timing("evaluate", arm), {"seconds": round(time.perf_counter() - started, 2)})
    if agreement:
        tracker.log_metrics({"gan_test": agreement["accuracy"]})
    tracker.log_file(layout.metrics(arm))


def protocol(facts: dict[str, Any], space: Space) -> dict[str, str]:
    """How each number was measured: a metric without its n, its reference and its network is not a number."""
    several = facts["labels"] == "multi_hot"
    told = {
        "accuracy": f"mean over {len(facts['classes'])} attributes of the share of {facts['n_test']} real test images told right; interval: "
        "Wilson, 95 %, of the effective number of answers, since those about one image hang together (Korn and Graubard 1998)",
        "macro_recall": "mean over attributes of the balanced accuracy, the mean of the recalls of its images with and without it; "
        "worst_class_recall: the least of the attributes",
        "exact_match": "share of test images of which every attribute is told right",
        "majority": "what always saying the commoner value would reach",
    }
    return {
        **(told if several else {"accuracy": f"{facts['n_test']} real test images; interval: Wilson, 95 %"}),
        "features": f"frozen small CNN trained on all {facts['n_train']} real training images, "
        f"in units of their root mean square, sha256 {space.network.sha256}",
        "frechet_classifier": f"each source against the {facts['n_test']} test images; mixed has none of its own",
        "kid": "unbiased, cubic kernel, all pairs of n_points of each side, the first of a fixed shuffle",
        "precision_recall_density_coverage": f"k = {_NEIGHBOURS}, the same points",
        "memorised": f"share of (at most {_MOST_POINTS}) synthetic images nearer, in features, to a training image of this arm "
        "than 99 % of the test images are; 0.01 is what new real images would give",
        "gan_test": "accuracy of the real-only classifier of the same images on synthetic ones, at most "
        + (f"{_GAN_TEST_MOST}" if several else f"{_GAN_TEST_PER_CLASS} a class"),
    }


def measure(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> dict[str, Any]:
    """accuracy and its kin of one classifier, of classes or of attributes as the labels have it."""
    if labels.ndim > 1:
        return attributes.summary(labels, predicted, names)
    return accuracy.summary(labels, predicted, len(names))


def gan_test(baseline: Path, synthetic: tuple[np.ndarray, np.ndarray], names: list[str]) -> dict[str, Any]:
    """Does the classifier that had the real images agree with the minted labels (Shmelkov et al. 2018)?

    recalls: by class; by attribute the share of images on which both agree.
    """
    images, labels = synthetic
    several = labels.ndim > 1
    seen = at_most(labels, _GAN_TEST_MOST if several else _GAN_TEST_PER_CLASS, "gan_test")
    measured = measure(labels[seen], predict_with(baseline, "real", images[seen]), names)
    recalls = [each["accuracy"] for each in measured["attributes"]] if several else measured["recalls"]
    return {"accuracy": measured["accuracy"], "recalls": recalls}


def predict_with(folder: Path, source: str, images: np.ndarray) -> np.ndarray:
    """What one stored classifier sees: classes, int64 (N,), or attributes, int64 (N, A) of 0 and 1."""
    logits = predict(archive.network(folder, source), images, torch.device("cpu"))
    return targets.decide(logits, archive.load(folder)[source]["multi_hot"])


def _shown(measured: dict[str, Any]) -> str:
    low, high = (100 * measured[name] for name in ("accuracy_low", "accuracy_high"))
    return f"{100 * measured['accuracy']:.2f} % [{low:.2f}, {high:.2f}]"


class Space:
    """Distances to the test images in the features of the frozen network."""

    def __init__(self, network: feature_network.FrozenNetwork, test_images: np.ndarray):
        self.network = network
        self.test = network.features(test_images)

    def points(self, images: np.ndarray) -> int:
        """Size of both sides where a metric wants them equal and memory bounded."""
        return min(_MOST_POINTS, len(self.test), len(images))

    def likeness(self, images: np.ndarray) -> dict[str, Any]:
        """How like the test images `images`, uint8 (N, C, S, S), are."""
        features, count = self.network.features(images), self.points(images)
        few, few_test = _shuffled(features)[:count], _shuffled(self.test)[:count]
        return {
            "frechet_classifier": frechet(features, self.test),
            "kid": kernel_distance(few, few_test),
            **neighbourhoods(few_test, few, _NEIGHBOURS),
            "n_points": count,
        }

    def memorised(self, images: np.ndarray, training: np.ndarray) -> float:
        """Share of `images` that lie nearer to a training image than nearly all test images do."""
        known = self.network.features(training)
        seen = self.network.features(_shuffled(images)[:_MOST_POINTS])
        near = np.quantile(nearest_distances(_shuffled(self.test)[:_MOST_POINTS], known), _NEAR_QUANTILE)
        return float((nearest_distances(seen, known) < near).mean())


def _shuffled(points: np.ndarray) -> np.ndarray:
    return points[np.random.default_rng(0).permutation(len(points))]
