"""The stage: measure one arm and its baseline on the test set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stages.evaluate import accuracy
from stages.evaluate.distances import frechet, kernel_distance, nearest_distances, neighbourhoods
from stages.prepare.files import load_json, save_json
from stages.prepare.layout import Arm, Layout
from stages.prepare.splits import at_most, subset
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.train_classifiers import archive, feature_network
from stages.train_classifiers.fit import predict

_NEIGHBOURS = 5
_MOST_POINTS = 5000
_NEAR_QUANTILE = 0.01
_GAN_TEST_PER_CLASS = 200


@dataclass(frozen=True)
class Params:
    arm: Arm


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    started, arm = time.perf_counter(), params.arm
    facts = load_json(layout.tensors / "dataset.json")
    test_images, test_labels = load_set(layout.test_tensors)
    images, labels = load_set(layout.tensors)
    chosen = subset(labels, arm.percent, arm.seed)
    real = np.asarray(images[chosen])
    synthetic, synthetic_labels = load_set(layout.synthetic(arm))

    network = feature_network.load(layout.feature_network)
    space = Space(network, np.asarray(test_images))
    likeness = {
        "real": space.likeness(real, None),
        "synthetic": space.likeness(np.asarray(synthetic), real),
        "mixed": None,
    }

    rows = []
    for folder in (layout.baseline(arm), layout.classifiers(arm)):
        for source, made in archive.load(folder).items():
            measured = accuracy.summary(test_labels, predict_with(folder, source, test_images), len(facts["classes"]))
            rows.append(
                {
                    "dataset": facts["name"],
                    "generator": arm.generator,
                    "percent": arm.percent,
                    "seed": arm.seed,
                    "source": source,
                    **{name: made[name] for name in ("n_real", "n_synthetic", "steps", "best_step")},
                    **measured,
                    **(likeness[source] or {}),
                }
            )
            say(
                f"{arm.name} {source}: accuracy {100 * measured['accuracy']:.2f} % [{100 * measured['accuracy_low']:.2f}, {100 * measured['accuracy_high']:.2f}]"
            )
            tracker.log_metrics(
                {
                    f"{name}/{source}": rows[-1][name]
                    for name in ("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall")
                }
            )
            if likeness[source]:
                tracker.log_metrics(
                    {f"{name}/{source}": value for name, value in likeness[source].items() if isinstance(value, float)}
                )
    protocol = {
        "accuracy": f"{len(test_labels)} real test images; interval: Wilson, 95 %",
        "features": f"frozen small CNN trained on all {facts['n_train']} real training images, in units of their root mean square, sha256 {network.sha256}",
        "frechet_classifier": f"each source against the {len(test_labels)} test images; mixed has none of its own",
        "kid": "unbiased, cubic kernel, all pairs",
        "precision_recall_density_coverage": f"k = {_NEIGHBOURS}, n = n_points of each side, the first of a fixed shuffle; kid takes the same",
        "memorised": "share of (at most 5,000) synthetic images nearer, in features, to a training image of this arm than 99 % of the test images are; 0.01 is what new real images would give",
        "gan_test": f"accuracy of the real-only classifier of the same images on synthetic ones, at most {_GAN_TEST_PER_CLASS} a class",
    }
    seen = at_most(synthetic_labels, _GAN_TEST_PER_CLASS, "gan_test")
    by_real_classifier = predict_with(layout.baseline(arm), "real", synthetic[seen])
    gan_test = accuracy.summary(synthetic_labels[seen], by_real_classifier, len(facts["classes"]))
    content = {
        "classes": facts["classes"],
        "rows": rows,
        "gan_test": {"accuracy": gan_test["accuracy"], "recalls": gan_test["recalls"]},
        "protocol": protocol,
    }
    save_json(layout.metrics(arm), content)
    save_json(layout.timing("evaluate", arm), {"seconds": round(time.perf_counter() - started, 2)})
    tracker.log_metrics({"gan_test": gan_test["accuracy"], "percent": arm.percent})
    tracker.log_file(layout.metrics(arm))


def predict_with(folder, source: str, images: np.ndarray) -> np.ndarray:
    """int64 (N,): classes that one stored classifier sees."""
    return predict(archive.network(folder, source), images, torch.device("cpu")).argmax(1)


class Space:
    """Distances to the test images in the features of the frozen network."""

    def __init__(self, network: feature_network.FrozenNetwork, test_images: np.ndarray):
        self.network = network
        self.test = network.features(test_images)

    def points(self, images: np.ndarray) -> int:
        """Size of both sides where a metric wants them equal and memory bounded."""
        return min(_MOST_POINTS, len(self.test), len(images))

    def likeness(self, images: np.ndarray, training: np.ndarray | None) -> dict[str, Any]:
        """How like the test images `images` are; against `training`, how many of them are near copies."""
        features, count = self.network.features(images), self.points(images)
        few, few_test = _shuffled(features)[:count], _shuffled(self.test)[:count]
        measured = {"frechet_classifier": frechet(features, self.test), "kid": kernel_distance(few, few_test)}
        measured |= neighbourhoods(few_test, few, _NEIGHBOURS)
        if training is not None:
            known = self.network.features(training)
            near = np.quantile(nearest_distances(_shuffled(self.test)[:_MOST_POINTS], known), _NEAR_QUANTILE)
            measured["memorised"] = float((nearest_distances(_shuffled(features)[:_MOST_POINTS], known) < near).mean())
        return {**measured, "n_points": count}


def _shuffled(points: np.ndarray) -> np.ndarray:
    return points[np.random.default_rng(0).permutation(len(points))]
