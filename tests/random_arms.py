"""A workspace with random results for any number of arms and classes, written in seconds, and its report."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.data.storage.image_grid import grid, png
from labelmint.data.storage.tensors import save_set
from labelmint.metrics import per_image
from labelmint.runtime.atomic_files import save_bytes, save_json, save_table
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths

_SIZE, _EPOCHS, _IMAGES_PER_CLASS = 16, 6, 8
_SHA256 = "0123456789abcdef" * 4
_CURVES = (
    *("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake"),
    *("d_score_real", "d_score_fake", "g_gradient", "diversity"),
)
_SIMILARITY = (
    *("frechet_classifier", "frechet_infinity", "frechet_intra_class", "kid"),
    *("precision", "recall", "density", "coverage"),
)
_DUPLICATES = (
    *("train_images_also_in_test", "repeated_within_train", "repeated_within_test"),
    *("near_test_in_training", "near_within_train"),
)


def report(root: Path, params: settings.Params, classes: list[str]) -> Path:
    """Write the results of the arms that params name, and run the stage. Returns: the page."""
    paths = Paths(root)
    write_workspace(paths, params, classes)
    return run_report(paths, params)


def run_report(paths: Paths, params: settings.Params) -> Path:
    """Run the stage report. Returns: the page."""
    module = entry("report")
    module.run(select(module.Params, params, None), paths, NullTracker())
    return paths.reports / "index.html"


def write_workspace(paths: Paths, params: settings.Params, classes: list[str]) -> None:
    """Write everything that the stage report reads."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(classes) * _IMAGES_PER_CLASS, 1, _SIZE, _SIZE), dtype=np.uint8)
    labels = np.repeat(np.arange(len(classes)), _IMAGES_PER_CLASS)
    save_set(paths.tensors, images, labels)
    facts = {
        **{"name": "noise", "title": f"Images of {classes[0]}", "licence": "none"},
        **{
            "classes": classes,
            "labels": "single",
            "mirror": [False] * len(classes),
            "shape": [1, _SIZE, _SIZE],
        },
        **{"n_train": len(labels), "n_validation": 0, "n_test": 10 * len(classes)},
    }
    save_json(paths.tensors / "dataset.json", facts)
    duplicates = {
        **dict.fromkeys(_DUPLICATES, 0),
        **{"action": "drop", "near_action": "count", "near_protocol": "bits"},
    }
    more = {"checksums": {"noise.tar": _SHA256}, "notes": [], "bad_images": [], "duplicates": duplicates}
    save_json(paths.tensors / "manifest.json", facts | more)
    rows = min(12, len(classes))
    samples = rng.integers(0, 256, (_EPOCHS, rows, 4, 1, _SIZE, _SIZE), dtype=np.uint8)
    sheets = [png(grid(each)) for each in samples]
    for percent, seed in product(params.percents, params.seeds):
        save_json(paths.timing("train_baselines", Arm("real", percent, seed)), {"real": 1.0})
    for generator, percent, seed in product(params.generators, params.percents, params.seeds):
        arm = Arm(generator, percent, seed)
        _write_generator(paths.generator(arm), classes, len(labels), sheets, rng)
        save_set(paths.synthetic(arm), images[::-1].copy(), labels[::-1].copy())
        save_json(paths.timing("train_classifiers", arm), {"synthetic": 1.0, "mixed": 1.0})
        save_json(paths.timing("train_generators", arm), {"seconds": 2.0})
        # Not indented, which would be slow for so many counts.
        save_bytes(paths.metrics(arm), json.dumps(metrics(arm, classes, rng)).encode())


def _write_generator(
    folder: Path, classes: list[str], n_train: int, sheets: list[bytes], rng: np.random.Generator
) -> None:
    trained_on = {"name": "noise", "images": n_train, "images_sha256": _SHA256}
    description = {
        **{"classes": classes, "trained_on": trained_on},
        **{"weights_sha256": _SHA256, "published": "moving average"},
    }
    save_json(folder / "architecture.json", description)
    history = (
        {"class": name, "attempt": 0, "images_seen": 100 * epoch}
        | {"health": "collapsed" if name == classes[0] else "ok"}
        | {curve: round(float(rng.random()), 6) for curve in _CURVES}
        for name in classes
        for epoch in range(1, _EPOCHS + 1)
    )
    save_table(folder / "training.csv", ["class", "attempt", "images_seen", "health", *_CURVES], history)
    for epoch, sheet in enumerate(sheets, 1):
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", sheet)


def metrics(arm: Arm, classes: list[str], rng: np.random.Generator) -> dict[str, Any]:
    """Content of data/metrics/<arm>.json."""
    pairs = [[index, index, 1.0, 0] for index in range(12)]
    return {
        **{"classes": classes, "labels": "single", "synthetic_labels": "per_class"},
        **{"fairness": None, "representation": None, "split": "test", "n_test": 40 * len(classes)},
        "n_feature_network": 1000,
        "rows": [row(arm, source, classes, rng) for source in ("real", "synthetic", "mixed")],
        "gan_test": {
            **{"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95},
            **{"recalls": [0.9] * len(classes), "measured": {"accuracy": {"n": 100}}},
        },
        "nearest": {space: {"closest": pairs, "random": pairs} for space in ("features", "pixels")},
        "latent_space": {"rows": {}, "arithmetic": [], "absent": []},
        "absent": {},
        "protocol": {"accuracy": "real test images", "features": f"small CNN, sha256 {_SHA256}"},
    }


def row(arm: Arm, source: str, classes: list[str], rng: np.random.Generator) -> dict[str, Any]:
    """Metrics of one classifier, with 40 test images per class."""
    wrong = rng.multinomial(10, np.full(len(classes), 1 / len(classes)), len(classes))
    counts = wrong + 30 * np.eye(len(classes), dtype=int)
    recalls = (np.diag(counts) / counts.sum(1)).tolist()
    accuracy, difference = float(np.mean(recalls)), 0.0 if source == "real" else -0.02
    found = {
        **{"dataset": "noise", "generator": arm.generator, "percent": arm.percent, "seed": arm.seed},
        **{"source": source, "n_real": arm.percent, "n_synthetic": 100, "steps": 10},
        **{"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01},
        **{"macro_recall": accuracy, "worst_class_recall": min(recalls)},
        **{"difference": difference, "difference_low": difference - 0.01},
        "difference_high": difference + 0.01,
        **{"recalls": recalls, "confusion": counts.tolist(), "holdout_gap": 0.01},
        "correct": per_image.packed((rng.random(40 * len(classes)) < accuracy).astype(float), 1),
    }
    if source != "mixed":
        protocol = {
            **{"n": 100, "n_reference": 100, "reference": "test", "resize": "none"},
            **{"network": f"sha256 {_SHA256}", "features": 64},
        }
        found |= {name: float(rng.random()) for name in _SIMILARITY}
        found["measured"] = {"frechet_classifier": protocol, "precision": protocol | {"k": 5}}
    if source == "synthetic":
        found |= {"memorised": 0.01, "memorised_pixels": 0.01, "exact_copies": 0, "copying": 1.0}
        found |= {"authentic": 0.6, "authentic_test": 0.6, "diversity": 1.0}
        found["kid_per_class"] = [0.1] * len(classes)
    return found
