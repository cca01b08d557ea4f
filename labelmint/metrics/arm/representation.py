"""Accuracy of a linear SVM on a discriminator's features (Radford et al. 2016, section 5.1).

An untrained discriminator and plain pixels are measured too: what they reach is not due to training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.splits import at_most, hold_out
from labelmint.metrics.arm import svm
from labelmint.metrics.arm.discriminator_features import BATCH, extractors
from labelmint.metrics.inputs import LabelledImages
from labelmint.metrics.intervals import wilson
from labelmint.metrics.settings import Representation
from labelmint.runtime.progress import say

_MAX_VALIDATION_IMAGES = 10_000
Features = tuple[np.ndarray, np.ndarray]
"""Features, (N, d), and labels, int64 (N,)."""


def measure(
    generator: Path,
    training: LabelledImages,
    test: LabelledImages,
    params: Representation,
    *,
    device: torch.device,
    seed: int,
    scratch: Path,
) -> dict[str, Any]:
    """Accuracy for each kind of features and number of labels.

    generator: folder of the arm's generators. training: of the arm, every image with a class. scratch: folder
    for temporary files, which may be larger than memory.
    Returns: rows; left_out, reasons why numbers of labels were left out.
    """
    rows: list[dict[str, Any]] = []
    classes = int(training[1].max()) + 1
    counts, left_out = usable_counts(training[1], params.labels_per_class)
    for reason in left_out:
        say(f"representation: {reason}")
    scratch.mkdir(parents=True, exist_ok=True)
    for name, extractor in extractors(generator, training[0], params, device, seed).items():
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            own = on_disk(extractor, training[0], Path(folder) / "training.npy")
            reference = on_disk(extractor, test[0], Path(folder) / "test.npy")
            for count in [0, *counts]:
                row = probe(
                    (own, training[1]), (reference, test[1]), classes, count, params=params, seed=seed
                )
                title = f"{name}, {count or 'all'} labels per class"
                say(f"{title}: {100 * row['accuracy']:.2f} %")
                if row["unconverged"]:
                    say(
                        f"{title}: {row['unconverged']} of {row['fits']} SVMs did not converge in "
                        f"{params.iterations} iterations; raise metrics.representation.iterations"
                    )
                rows.append(
                    {"features": name, "size": own.shape[1], "labels_per_class": count or None, **row}
                )
            del own, reference
    return {"rows": rows, "left_out": left_out}


def usable_counts(labels: np.ndarray, counts: list[int]) -> tuple[list[int], list[str]]:
    """(numbers of labels per class that can be measured, why the others are left out).

    labels: int64 (N,). Every class needs more images than that: else all draws would be equal, and no image
    would be left to choose C on.
    """
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    reasons = [
        f"{count} labels per class left out: the smallest class has {smallest} training images, "
        "and C is chosen on others of them"
        for count in counts
        if count >= smallest
    ]
    return [count for count in counts if count < smallest], reasons


def on_disk(extractor: Callable[[np.ndarray], np.ndarray], images: np.ndarray, path: Path) -> np.ndarray:
    """Features of at least one image, uint8 (N, C, S, S), as a float16 memory map, (N, d)."""
    first = extractor(images[:BATCH])
    features = np.lib.format.open_memmap(path, "w+", np.float16, (len(images), first.shape[1]))
    for at in range(0, len(images), BATCH):
        part = first if at == 0 else extractor(images[at : at + BATCH])
        features[at : at + len(part)] = part.clip(-60_000, 60_000)
    return features


def probe(
    training: Features, test: Features, classes: int, per_class: int, *, params: Representation, seed: int
) -> dict[str, Any]:
    """Accuracy on the test set of an SVM whose C is chosen on training images that it was not trained on.

    per_class: labels that it gets, in `params.draws` random draws; 0: all labels, once.
    Returns: accuracy, low, high (95 %: Wilson's of one draw, Student's t of several); C of each draw; draws;
    n_labels, images it is trained on; n_validation, images that C is chosen on, 0 for a single C: further
    images, or a part of all of them; fits, SVMs in all; unconverged, how many of them stopped early.
    """
    values, labels = training
    accuracies, chosen = [], []
    converged: list[bool] = []
    held_out_per_class = max(1, _MAX_VALIDATION_IMAGES // classes)
    for draw in range(params.draws if per_class else 1):
        if per_class:
            own = kept = at_most(labels, per_class, seed, "labels", draw)
            rest = np.setdiff1d(np.arange(len(labels)), own)
        else:
            own = np.arange(len(labels))
            kept, rest = hold_out(labels, params.validation_percent, seed, "validation", 0)
        held_out = rest[at_most(labels[rest], held_out_per_class, seed, "validation", draw)]
        best, searched = _best_c(training, kept, held_out, classes, params)
        table = svm.Table.of(values, own)
        weights, done = svm.fit(table, labels[own], classes, best, params.iterations)
        converged += [*searched, done]
        predictions = svm.classify(table.scaled_alike(test[0], np.arange(len(test[1]))), weights)
        accuracies.append(float((predictions == test[1]).mean()))
        chosen.append(best)
    accuracy = float(np.mean(accuracies))
    low, high = _interval(accuracies, len(test[1]))
    return {
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "C": chosen,
        "draws": len(accuracies),
        "n_labels": len(own),
        "n_validation": len(held_out) if len(params.c) > 1 else 0,
        "fits": len(converged),
        "unconverged": converged.count(False),
    }


def _interval(accuracies: list[float], n_test: int) -> tuple[float, float]:
    from scipy.stats import t

    accuracy = float(np.mean(accuracies))
    if len(accuracies) == 1:
        return wilson(accuracy * n_test, n_test)
    half = float(t.ppf(0.975, len(accuracies) - 1) * np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)))
    return accuracy - half, accuracy + half


def _best_c(
    training: Features, kept: np.ndarray, held_out: np.ndarray, classes: int, params: Representation
) -> tuple[float, list[bool]]:
    """(C with the best accuracy on held-out images, the smallest of equals; whether each fit converged)."""
    if len(params.c) == 1:
        return params.c[0], []
    values, labels = training
    table = svm.Table.of(values, kept)
    accuracies, converged = [], []
    for c in sorted(params.c):
        weights, done = svm.fit(table, labels[kept], classes, c, params.iterations)
        converged.append(done)
        predictions = svm.classify(table.scaled_alike(values, held_out), weights)
        accuracies.append((predictions == labels[held_out]).mean())
    return sorted(params.c)[int(np.argmax(accuracies))], converged
