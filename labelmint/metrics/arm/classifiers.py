"""Metrics of the classifiers of an arm and of its baseline, and the GAN-test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import archive, targets
from labelmint.classifiers.views import view
from labelmint.data.storage.splits import at_most
from labelmint.metrics import accuracy, registry
from labelmint.metrics.controls import NEAREST_NEIGHBOUR_MAX_IMAGES
from labelmint.metrics.inputs import ClassifierResult, LabelledImages, classifier_protocol
from labelmint.metrics.nearest import classify
from labelmint.metrics.sampling_order import content_order
from labelmint.runtime.progress import Progress

GAN_TEST_PER_CLASS = 200
GAN_TEST_MAX_IMAGES = 2000
_KEPT = ("n_real", "n_synthetic", "n_holdout", "steps", "best_step", "view")


def classifier_rows(
    folders: Iterable[Path],
    test: LabelledImages,
    names: list[str],
    *,
    split: str,
    stored: tuple[np.ndarray, np.ndarray],
    device: torch.device,
    precision: str = "fp32",
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """(a row of metrics for each source, predictions for the test images by source).

    folders: of classifiers, the baseline's first, which has the source "real". names: of the classes or
    attributes. split: of the test images. stored: all real training images and the arm's synthetic images,
    which 1-NN searches where the settings ask for it. precision: of networks on the device.
    """
    rows, predictions = [], {}
    images, labels = test
    recorded = [(folder, archive.load(folder)) for folder in folders]
    measured = [
        (folder, source, known)
        for folder, known in recorded
        for source in known
        if not known[source]["simple_classifier"]
    ]
    with Progress("classifiers", len(measured), "classifiers") as progress:
        for folder, source, known in measured:
            facts = known[source]
            predictions[source] = predict_with(folder, source, images, device)
            simple = {}
            if f"{source}-linear" in known:
                network = f"sha256 {known[f'{source}-linear']['weights_sha256']}"
                simple["linear"] = predict_with(folder, f"{source}-linear", images, device), network
            if "nearest_neighbour" in archive.params_of(facts).simple_classifiers:
                training = archive.training_images(folder, source, *stored)
                found = _nearest(view(facts["view"], images), *training, device)
                simple["nearest_neighbour"] = found, "none: pixels"
            result = ClassifierResult(
                labels,
                predictions[source],
                names,
                predictions["real"],
                simple,
                split,
                images.shape[-1],
                facts,
                precision,
            )
            kept = {name: facts[name] for name in _KEPT}
            rows.append({"source": source, **kept, **registry.measure_classifier(result)})
            progress.add(1)
    return rows, predictions


def _nearest(
    images: np.ndarray, training: np.ndarray, labels: np.ndarray, device: torch.device
) -> np.ndarray:
    if len(training) > NEAREST_NEIGHBOUR_MAX_IMAGES:
        few = np.random.default_rng(0).permutation(len(training))[:NEAREST_NEIGHBOUR_MAX_IMAGES]
        training, labels = training[few], labels[few]
    return classify(images, training, labels, device)


def gan_test(
    baseline: Path,
    synthetic: LabelledImages,
    names: list[str],
    device: torch.device,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Agreement of the classifier of the real images with the synthetic labels (Shmelkov et al. 2018).

    baseline: folder of that classifier. Returns: accuracy with its 95 % interval; recalls by class, or by
    attribute the fraction of images with agreement; measured.
    """
    images, labels = synthetic
    multi_hot, indices = labels.ndim > 1, content_order(images, labels)
    rows = indices[
        at_most(labels[indices], GAN_TEST_MAX_IMAGES if multi_hot else GAN_TEST_PER_CLASS, "gan_test")
    ]
    summary = accuracy.summary(labels[rows], predict_with(baseline, "real", images[rows], device), names)
    recalls = [each["accuracy"] for each in summary["attributes"]] if multi_hot else summary["recalls"]
    facts = archive.load(baseline)["real"]
    how = classifier_protocol("synthetic", len(rows), images.shape[-1], facts, precision=precision)
    if multi_hot:
        per_class = [len(rows)] * len(names)
    else:
        per_class = np.bincount(labels[rows], minlength=len(names)).tolist()
    return {
        **{name: summary[name] for name in ("accuracy", "accuracy_low", "accuracy_high")},
        "recalls": recalls,
        "measured": {"accuracy": how, "recalls": how | {"n": per_class}},
    }


def predict_with(folder: Path, name: str, images: np.ndarray, device: torch.device) -> np.ndarray:
    """Predictions of one stored classifier: classes, int64 (N,), or attributes, int64 (N, A) of 0 and 1."""
    multi_hot = archive.load(folder)[name]["multi_hot"]
    return targets.decide(archive.logits(folder, name, images, device), multi_hot)
