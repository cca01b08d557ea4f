"""A trained classifier on disk: <name>.safetensors and, for all of a folder, classifiers.json. Its name is its source's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from labelmint.classifiers.fit import Fitted, Job, build
from labelmint.classifiers.settings import Augmentation, Classifier
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.runtime.atomic_files import load_json, save_json, save_table

EVALUATION_COLUMNS = ("name", "step", "train_loss", "holdout_loss", "holdout_accuracy")


def save(folder: Path, jobs: list[Job], fitted: list[Fitted]) -> None:
    """One file of weights per job, what is known of each, and all their checks."""
    facts: dict[str, Any] = {}
    for job, result in zip(jobs, fitted):
        digest = save_weights(folder / f"{job.name}.safetensors", result.weights)
        best = next(row for row in result.evaluations if row["step"] == result.best_step)
        facts[job.name] = {
            "source": job.source,
            "simple_classifier": job.evaluations is not None,
            "params": asdict(job.params),
            "shape": list(job.pools[0].images.shape[1:]),
            "classes": job.classes,
            "multi_hot": job.multi_hot,
            "view": job.view,
            **{f"n_{origin}": job.count(origin) for origin in ("real", "synthetic")},
            "n_holdout": result.held_out,
            "steps": job.steps,
            "best_step": result.best_step,
            "holdout_accuracy": best["holdout_accuracy"],
            "weights_sha256": digest,
        }
    rows = ({"name": job.name, **row} for job, result in zip(jobs, fitted) for row in result.evaluations)
    save_table(folder / "training.csv", EVALUATION_COLUMNS, rows)
    save_json(folder / "classifiers.json", facts)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Facts about each classifier in the folder, by its name."""
    return load_json(folder / "classifiers.json")


def params_of(facts: dict[str, Any]) -> Classifier:
    """The settings it was trained with."""
    return Classifier(**{**facts["params"], "augmentation": Augmentation(**facts["params"]["augmentation"])})


def network(folder: Path, name: str) -> torch.nn.Module:
    """One classifier, in evaluation mode. Raises: InputError when the weights are missing or damaged."""
    facts = load(folder)[name]
    weights = load_weights(folder / f"{name}.safetensors", facts["weights_sha256"])
    model = build(params_of(facts), tuple(facts["shape"]), facts["classes"], None)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return model.eval()
