"""A trained classifier on disk: <source>.safetensors and, for all of a folder, classifiers.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stages.prepare.files import load_json, save_json, save_table
from stages.prepare.weights import load_weights, save_weights
from stages.train_classifiers.fit import Fitted, Job, build
from stages.train_classifiers.params import Augmentation, Classifier

CHECKS = ("source", "step", "train_loss", "holdout_loss", "holdout_accuracy")


def save(folder: Path, jobs: list[Job], fitted: list[Fitted]) -> None:
    """One file of weights per job, what is known of each, and all their checks."""
    facts: dict[str, Any] = {}
    for job, result in zip(jobs, fitted):
        digest = save_weights(folder / f"{job.source}.safetensors", result.weights)
        facts[job.source] = {
            "params": asdict(job.params),
            "shape": list(job.pools[0].images.shape[1:]),
            "classes": job.classes,
            "multi_hot": job.multi_hot,
            **{f"n_{origin}": job.count(origin) for origin in ("real", "synthetic")},
            "steps": job.params.steps,
            "best_step": result.best_step,
            "weights_sha256": digest,
        }
    rows = ({"source": job.source, **row} for job, result in zip(jobs, fitted) for row in result.checks)
    save_table(folder / "training.csv", CHECKS, rows)
    save_json(folder / "classifiers.json", facts)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Facts about each source's classifier in the folder."""
    return load_json(folder / "classifiers.json")


def network(folder: Path, source: str) -> torch.nn.Module:
    """The classifier of one source, in evaluation mode. Raises: InputError when the weights are missing or damaged."""
    facts = load(folder)[source]
    weights = load_weights(folder / f"{source}.safetensors", facts["weights_sha256"])
    params = Classifier(**{**facts["params"], "augmentation": Augmentation(**facts["params"]["augmentation"])})
    model = build(params, tuple(facts["shape"]), facts["classes"], None)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return model.eval()
