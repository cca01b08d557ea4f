"""The stage: measure one arm and its baseline on the test set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import feature_network, targets
from labelmint.data.storage.splits import subset
from labelmint.data.storage.tensors import load_set
from labelmint.metrics import classifiers, diversity, fairness, inception, latent_figures, memorization, representation
from labelmint.metrics.protocol import protocol
from labelmint.metrics.settings import Metrics
from labelmint.metrics.similarity import Space
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import pick_device
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths

# Of images without labels there is nothing to be told.
_UNTOLD = dict.fromkeys(
    ["steps", "best_step", "accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall"]
)
Set = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Params:
    arm: Arm
    metrics: Metrics
    compute: Compute


@dataclass(frozen=True)
class Sets:
    """Images and labels: the test set, the minted ones, and the real ones that the generator had, with their places."""

    facts: dict[str, Any]
    test: Set
    minted: Set
    real: Set
    real_places: np.ndarray
    synthetic_label_kind: str

    @classmethod
    def load(cls, layout: Paths, arm: Arm, split: str) -> Sets:
        """split: what stands for the test set. Raises: InputError where it has no images."""
        images, labels = load_set(layout.tensors)
        chosen = subset(labels, arm.percent, arm.seed)
        kind = load_json(layout.synthetic(arm) / "manifest.json")["labels"]
        minted = load_set(layout.synthetic(arm))
        test = load_set(layout.test_tensors if split == "test" else layout.validation_tensors)
        if not len(test[1]):
            raise InputError(f"metrics.split: {split}, but there are no such images; set dataset.validation_percent")
        facts = load_json(layout.tensors / "dataset.json") | {"n_test": len(test[1])}
        return cls(facts, test, minted, (np.asarray(images[chosen]), labels[chosen]), chosen, kind)

    @property
    def names(self) -> list[str]:
        """Of the classes, or of the attributes."""
        return self.facts["classes"]

    @property
    def shown(self) -> memorization.Training:
        """The real images as training shows them: of some classes flipped too."""
        images, labels = self.real
        flipped = targets.may_flip(self.facts["mirror"], torch.from_numpy(labels))
        return memorization.Training(images, np.flatnonzero(flipped.numpy()))


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    started, arm, device = time.perf_counter(), params.arm, pick_device(params.compute)
    split = params.metrics.split
    sets = Sets.load(layout, arm, split)
    whose = {"dataset": sets.facts["name"], "generator": arm.generator, "percent": arm.percent, "seed": arm.seed, "split": split}  # fmt: skip
    rows = classifiers.rows(layout, arm, split, sets.test, sets.names, device)
    for row in rows:
        say(f"{arm.name} {row['source']}: accuracy {_shown(row)}")
    agreement = None
    if sets.synthetic_label_kind == "none":
        say(f"{arm.name} synthetic: no labels, so no classifier; how like the test images they are is measured")
        rows.append({"source": "synthetic", "n_real": 0, "n_synthetic": len(sets.minted[0]), **_UNTOLD})
    else:
        agreement = classifiers.gan_test(layout.baseline(arm), sets.minted, sets.names, device)

    space = Space(feature_network.load(layout.feature_network), sets.test, len(sets.names), params.metrics)
    likeness, copies, absent = distances(sets, space, params.metrics, layout, device)
    gaps, represented = fairness_gaps(sets, rows, params.metrics, layout.baseline(arm), device), None
    if params.metrics.representation.measured:
        if sets.facts["labels"] == "multi_hot":
            raise InputError(
                "metrics.representation tells classes; name one of dataset.attributes, or set measured: false"
            )
        represented = representation.measure(layout, layout.generator(arm), sets.real, sets.test, params.metrics.representation, device, arm.seed)  # fmt: skip
    rows = [whose | _joined(_without_told(row), likeness.get(row["source"], {})) for row in rows]
    for row in rows:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        tracker.log_metrics({f"{name}/{row['source']}": value for name, value in numbers.items()})

    content = {
        "split": split,
        "n_test": len(sets.test[1]),
        "classes": sets.names,
        "labels": sets.facts["labels"],
        "synthetic_labels": sets.synthetic_label_kind,
        "rows": rows,
        "gan_test": agreement,
        "nearest": copies,
        "fairness": gaps,
        "representation": represented,
        "latent_space": latent_figures.draw(layout, arm, sets.facts, device),
        "absent": absent,
        "protocol": protocol(sets.facts, space, params.metrics, absent),
    }
    save_json(layout.metrics(arm), content)
    save_json(layout.timing("evaluate", arm), {"seconds": round(time.perf_counter() - started, 2)})
    if agreement:
        tracker.log_metrics({"gan_test": agreement["accuracy"]})
    tracker.log_file(layout.metrics(arm))


def distances(sets: Sets, space: Space, params: Metrics, layout: Paths, device: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:  # fmt: skip
    """(by source: how like the test images the real and the minted ones are; their nearest training images; what is absent, and why)."""
    minted, real, test = sets.minted[0], sets.real[0], space.test
    points = {"real": space.points("train", *sets.real), "synthetic": space.points("synthetic", *sets.minted)}
    found = space.likeness(points)
    own, training = points["synthetic"], points["real"]

    rows, few_test, shown = own.places[: params.points], test.places[: params.points], sets.shown
    few, few_features = own.features[: len(rows)], test.features[: len(few_test)]
    in_place = np.empty_like(training.features)
    in_place[training.places] = training.features
    known = shown.points(in_place, space.network.features)
    near = memorization.neighbours(few, few_features, known)
    near_pixels = memorization.neighbours_in_pixels(minted[rows], sets.test[0][few_test], shown)
    copied = memorization.copying(few, few_features, training.features, near)
    found["synthetic"] |= {
        "memorised": memorization.fraction_near(near),
        "memorised_pixels": memorization.fraction_near(near_pixels),
        "exact_copies": memorization.exact_copies(minted, shown),
        **memorization.authenticity(near, known, shown.partners),
        **copied,
    }
    told = found["synthetic"]["measured"]
    told |= memorization.protocol(len(rows), len(few_test), test.split, len(own), len(known), copied["cells"], space.frozen)  # fmt: skip
    copies = {
        "features": memorization.pairs(near, rows, shown, sets.real_places),
        "pixels": memorization.pairs(near_pixels, rows, shown, sets.real_places),
    }
    if own.labels.ndim == 1 and sets.synthetic_label_kind != "none":
        spread, counts = diversity.per_class(*((each.features, each.labels) for each in (own, training)), len(sets.names), params.points)  # fmt: skip
        known = [value for value in spread if value is not None]
        found["synthetic"] |= {"diversity_per_class": spread, "diversity": float(np.mean(known)) if known else None}
        told |= diversity.protocol(spread, counts, space.frozen)

    network, why = inception.load(params.inception, layout.raw, device)
    if network is None:
        return found, copies, {"fid, kid_inception, inception_score": why}
    n = min(params.inception_images, len(own), len(training))
    reference = network.features(sets.test[0][test.places[: params.inception_images]])
    for source, images in (("real", real), ("synthetic", minted)):
        seen = network.features(images[points[source].places[:n]])
        found[source] |= inception.metrics(seen, reference)
        found[source]["measured"] |= inception.protocol(network, points[source].split, seen, test.split, reference)
    return found, copies, {}


def fairness_gaps(sets: Sets, rows: list[dict[str, Any]], params: Metrics, baseline: Path, device: torch.device) -> dict[str, Any] | None:  # fmt: skip
    """Of the real and of the minted labels, of minted images as the real classifier sees them, and of what each classifier says of the
    test images, with how far that is from what the real one says; None unless params ask. baseline: folder of the real classifier.

    Raises: InputError when an attribute is not of the data set.
    """
    if not params.protected:
        return None
    for name in (params.protected, params.outcome):
        if sets.facts["labels"] != "multi_hot" or name not in sets.names:
            raise InputError(
                f"metrics: '{name}' is not among dataset.attributes, {', '.join(sets.names)}; name it there with others, or leave metrics.protected and metrics.outcome empty"
            )
    group, outcome = (sets.names.index(name) for name in (params.protected, params.outcome))
    data = {"real": sets.real[1]} | ({"synthetic": sets.minted[1]} if sets.synthetic_label_kind != "none" else {})
    test, told = sets.test[1], {row["source"]: row["told"][:, outcome] for row in rows if "told" in row}
    seen = {}
    if "synthetic" in data:
        pictures = classifiers.predict_with(baseline, "real", sets.minted[0], device)
        seen["synthetic"] = fairness.data_gaps(pictures[:, group], pictures[:, outcome], params.bootstrap)
    return {
        "protected": params.protected,
        "outcome": params.outcome,
        "data": {name: fairness.data_gaps(labels[:, group], labels[:, outcome], params.bootstrap) for name, labels in data.items()},
        "seen": seen,
        "classifiers": {
            source: fairness.classifier_gaps(test[:, group], test[:, outcome], answers, params.bootstrap) for source, answers in told.items()
        },
        "changes": {
            source: fairness.changes(test[:, group], test[:, outcome], told["real"], answers, params.bootstrap)
            for source, answers in told.items() if source != "real"
        },
    }  # fmt: skip


def _joined(row: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both, and how each number of both was measured."""
    return row | more | {"measured": row.get("measured", {}) | more.get("measured", {})}


def _without_told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "told"}


def _shown(measured: dict[str, Any]) -> str:
    low, high = (100 * measured[name] for name in ("accuracy_low", "accuracy_high"))
    return f"{100 * measured['accuracy']:.2f} % [{low:.2f}, {high:.2f}]"
