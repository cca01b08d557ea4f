"""A workspace in which metrics of any number of arms and classes stand, written in seconds: what `report` reads, of random numbers."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np

from labelmint.data.storage.image_grid import grid, png
from labelmint.data.storage.tensors import save_set
from labelmint.runtime.atomic_files import save_bytes, save_json, save_table
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import schema as settings
from pipeline.stage import entry, select
from stages.paths import Arm, Paths

_SIZE, _EPOCHS, _PER_CLASS = 16, 6, 8
_SHA = "0123456789abcdef" * 4


def report(root: Path, params: settings.Params, classes: list[str]) -> Path:
    """Write all that the arms of params name, run the stage, and return the page."""
    layout, rng = Paths(root), np.random.default_rng(0)
    shown = rng.integers(0, 256, (len(classes) * _PER_CLASS, 1, _SIZE, _SIZE), dtype=np.uint8)
    labels = np.repeat(np.arange(len(classes)), _PER_CLASS)
    save_set(layout.tensors, shown, labels)
    facts = {
        **{"name": "made", "title": f"Images of {classes[0]}", "licence": "none", "classes": classes, "labels": "single"},
        **{"mirror": [False] * len(classes), "shape": [1, _SIZE, _SIZE]},
        **{"n_train": len(labels), "n_validation": 0, "n_test": 10 * len(classes)},
    }  # fmt: skip
    save_json(layout.tensors / "dataset.json", facts)
    names = ("train_images_also_in_test", "repeated_within_train", "repeated_within_test", "near_test_in_training", "near_within_train")  # fmt: skip
    doubles = {**dict.fromkeys(names, 0), "action": "drop", "near_action": "count", "near_protocol": "bits"}
    manifest = {**facts, "checksums": {"made.tar": _SHA}, "notes": [], "bad_images": [], "duplicates": doubles}
    save_json(layout.tensors / "manifest.json", manifest)
    rows = min(12, len(classes))
    drawn = [png(grid(rng.integers(0, 256, (rows, 4, 1, _SIZE, _SIZE), dtype=np.uint8))) for _ in range(_EPOCHS)]
    for percent, seed in product(params.percents, params.seeds):
        save_json(layout.timing("train_baselines", Arm("real", percent, seed)), {"real": 1.0})
    for generator, percent, seed in product(params.generators, params.percents, params.seeds):
        write_arm(layout, Arm(generator, percent, seed), classes, shown, labels, drawn, rng)
    module = entry("report")
    module.run(select(module.Params, params, None), layout, NullTracker())
    return layout.reports / "index.html"


def write_arm(layout: Paths, arm: Arm, classes: list[str], shown: np.ndarray, labels: np.ndarray, drawn: list[bytes], rng: np.random.Generator) -> None:  # fmt: skip
    folder = layout.generator(arm)
    seen = {"name": "made", "images": len(labels), "images_sha256": _SHA}
    save_json(folder / "architecture.json", {"classes": classes, "trained_on": seen, "weights_sha256": _SHA, "published": "moving average"})  # fmt: skip
    curves = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "d_score_real", "d_score_fake", "g_gradient", "diversity")  # fmt: skip
    save_table(
        folder / "training.csv",
        ["class", "attempt", "images_seen", "health", *curves],
        (
            {"class": name, "attempt": 0, "images_seen": 100 * epoch, "health": "collapsed" if name == classes[0] else "ok"}
            | {curve: round(float(rng.random()), 6) for curve in curves}
            for name in classes
            for epoch in range(1, _EPOCHS + 1)
        ),
    )  # fmt: skip
    for epoch, sheet in enumerate(drawn, 1):
        save_bytes(folder / "samples" / f"epoch-{epoch:04d}.png", sheet)
    save_set(layout.synthetic(arm), shown[::-1].copy(), labels[::-1].copy())
    save_json(layout.timing("train_classifiers", arm), {"synthetic": 1.0, "mixed": 1.0})
    save_json(layout.timing("train_generators", arm), {"seconds": 2.0})
    near = [[place, place, 1.0, 0] for place in range(12)]
    content = {
            **{"classes": classes, "labels": "single", "synthetic_labels": "per_class", "fairness": None, "representation": None},
            **{"split": "test", "n_test": 40 * len(classes)},
            "rows": [row(arm, source, classes, rng) for source in ("real", "synthetic", "mixed")],
            "gan_test": {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "recalls": [0.9] * len(classes), "measured": {"accuracy": {"n": 100}}},
            "nearest": {"features": {"closest": near, "random": near}, "pixels": {"closest": near, "random": near}},
            "latent_space": {"rows": {}, "arithmetic": [], "absent": []},
            **{"absent": {}, "protocol": {"accuracy": "real test images", "features": f"small CNN, sha256 {_SHA}"}},
    }  # fmt: skip
    save_bytes(layout.metrics(arm), json.dumps(content).encode())  # not indented, which is slow for so many counts


def row(arm: Arm, source: str, classes: list[str], rng: np.random.Generator) -> dict:
    wrong = rng.multinomial(10, np.full(len(classes), 1 / len(classes)), len(classes))
    counts = wrong + 30 * np.eye(len(classes), dtype=int)
    recalls = (np.diag(counts) / counts.sum(1)).tolist()
    accuracy, difference = float(np.mean(recalls)), 0.0 if source == "real" else -0.02
    whole = {"n": 100, "n_reference": 100, "reference": "test", "resize": "none", "network": f"sha256 {_SHA}", "features": 64}  # fmt: skip
    like = ("frechet_classifier", "frechet_infinity", "frechet_intra_class", "kid", "precision", "recall", "density", "coverage")  # fmt: skip
    return {
        **{"dataset": "made", "generator": arm.generator, "percent": arm.percent, "seed": arm.seed, "source": source},
        **{"n_real": 100, "n_synthetic": 100, "steps": 10, "accuracy": accuracy, "macro_recall": accuracy},
        **{"accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01, "worst_class_recall": min(recalls)},
        **{"difference": difference, "difference_low": difference - 0.01, "difference_high": difference + 0.01},
        **{"recalls": recalls, "confusion": counts.tolist(), "holdout_gap": 0.01},
        **({} if source == "mixed" else {name: float(rng.random()) for name in like}),
        **({} if source == "mixed" else {"measured": {"frechet_classifier": whole, "precision": whole | {"k": 5}}}),
        **({"memorised": 0.01, "memorised_pixels": 0.01, "exact_copies": 0, "authentic": 0.6, "authentic_test": 0.6, "copying": 1.0, "diversity": 1.0, "kid_per_class": [0.1] * len(classes)} if source == "synthetic" else {}),
    }  # fmt: skip
