"""A trained classifier on disk: <source>.safetensors and, for all of a folder, classifiers.json."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.prepare.errors import InputError
from stages.prepare.files import load_json, save_bytes, save_json, save_table
from stages.train_classifiers.fit import Fitted, Job, build
from stages.train_classifiers.params import Augmentation, Classifier

CHECKS = ("source", "step", "train_loss", "holdout_loss", "holdout_accuracy")


def save(folder: Path, jobs: list[Job], fitted: list[Fitted], sizes: list[dict[str, int]]) -> None:
    """sizes: n_real and n_synthetic of each job."""
    from safetensors.numpy import save as to_bytes

    facts: dict[str, Any] = {}
    for job, result, size in zip(jobs, fitted, sizes):
        content = to_bytes(result.weights)
        save_bytes(folder / f"{job.source}.safetensors", content)
        facts[job.source] = {
            "params": asdict(job.params),
            "shape": list(job.pools[0].images.shape[1:]),
            "classes": job.classes,
            **size,
            "steps": job.params.steps,
            "best_step": result.best_step,
            "weights_sha256": hashlib.sha256(content).hexdigest(),
        }
    rows = ({"source": job.source, **row} for job, result in zip(jobs, fitted) for row in result.checks)
    save_table(folder / "training.csv", CHECKS, rows)
    save_json(folder / "classifiers.json", facts)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Facts about each source's classifier in the folder."""
    return load_json(folder / "classifiers.json")


def network(folder: Path, source: str) -> torch.nn.Module:
    """The classifier of one source, in evaluation mode. Raises: InputError when the weights are damaged."""
    from safetensors.numpy import load as from_bytes

    facts = load(folder)[source]
    path = folder / f"{source}.safetensors"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != facts["weights_sha256"]:
        raise InputError(
            f"{path}: its checksum is not the one in classifiers.json; the file is damaged, delete the folder and run again"
        )
    params = Classifier(**{**facts["params"], "augmentation": Augmentation(**facts["params"]["augmentation"])})
    model = build(params, tuple(facts["shape"]), facts["classes"], None)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in from_bytes(content).items()})
    return model.eval()
