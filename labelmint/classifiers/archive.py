"""Trained classifiers on disk: classifiers.json, <name>.safetensors of each, and pools/<source>.safetensors.

The last records the images that the classifiers of a source were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import targets
from labelmint.classifiers.job import Fitted, Job, build, predict
from labelmint.classifiers.settings import Augmentation, Classifier
from labelmint.classifiers.views import view
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.runtime.atomic_files import load_json, save_json, save_table
from labelmint.runtime.errors import InputError

EVALUATION_COLUMNS = ("name", "step", "train_loss", "holdout_loss", "holdout_accuracy")


def save(folder: Path, jobs: Sequence[Job], fitted: Sequence[Fitted]) -> None:
    """Write the weights, descriptions and evaluations of all jobs, and the images of each source."""
    facts: dict[str, Any] = {}
    for job, result in zip(jobs, fitted):
        facts[job.name] = {
            "source": job.source,
            "simple_classifier": job.simple,
            "params": asdict(job.params),
            "shape": list(job.shape),
            "classes": job.classes,
            "multi_hot": job.multi_hot,
            "view": job.view,
            **{f"n_{origin}": job.count(origin) for origin in ("real", "synthetic")},
            "n_holdout": result.held_out,
            "steps": job.steps,
            "best_step": result.best_step,
            "holdout_accuracy": result.best["holdout_accuracy"],
            "weights_sha256": save_weights(folder / f"{job.name}.safetensors", result.weights),
        }
        if not job.simple:
            facts[job.name]["pools_sha256"] = save_weights(_pools_file(folder, job.source), _record(job))
    rows = ({"name": job.name, **row} for job, result in zip(jobs, fitted) for row in result.evaluations)
    save_table(folder / "training.csv", EVALUATION_COLUMNS, rows)
    save_json(folder / "classifiers.json", facts)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Descriptions of the classifiers in the folder, by name."""
    facts: dict[str, dict[str, Any]] = load_json(folder / "classifiers.json")
    return facts


def params_of(facts: dict[str, Any]) -> Classifier:
    """The settings that a classifier was trained with."""
    return Classifier(**{**facts["params"], "augmentation": Augmentation(**facts["params"]["augmentation"])})


def network(folder: Path, name: str) -> torch.nn.Module:
    """One classifier, in evaluation mode. Raises: InputError if the weights are missing or damaged."""
    facts = load(folder)[name]
    weights = load_weights(folder / f"{name}.safetensors", facts["weights_sha256"])
    channels, height, width = facts["shape"]
    model = build(params_of(facts), (channels, height, width), facts["classes"], None)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return model.eval()


def logits(folder: Path, name: str, images: np.ndarray, device: torch.device) -> np.ndarray:
    """What one classifier says of images, float32 (N, classes). images: uint8 (N, C, S, S), not in its view.

    Raises: InputError as `network` does.
    """
    shown = view(load(folder)[name]["view"], images)
    return predict(network(folder, name).to(device), shown, device)


def confidence(
    folder: Path, name: str, images: np.ndarray, labels: np.ndarray, device: torch.device
) -> np.ndarray:
    """Probability that one classifier gives each image's own label, float64 (N,). See `logits`."""
    return targets.confidence(logits(folder, name, images, device), labels)


def training_images(
    folder: Path, source: str, real_images: np.ndarray, synthetic_images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The images that the classifiers of a source were given, and their labels.

    real_images: all real training images. synthetic_images: the arm's synthetic set, which a baseline does
    not use.
    Returns: uint8 (N, C, S, S) as the source's view shows them, held-out ones included and after a bootstrap,
    and int64 (N,) or float32 multi-hot (N, A).
    Raises: InputError if the record is missing, damaged, or lacks images: those that are stored nowhere else
    are recorded only for a nearest-neighbour classifier.
    """
    facts = load(folder)[source]
    path = _pools_file(folder, source)
    record = load_weights(path, facts["pools_sha256"])
    stored = {"real": real_images, "synthetic": synthetic_images}
    images, labels = [], []
    for name in sorted(name for name in record if name.endswith(".labels")):
        pool, origin = name.removesuffix(".labels"), name.split(".")[1]
        available = stored[origin]
        if f"{pool}.images" in record:
            images.append(record[f"{pool}.images"])
        elif f"{pool}.indices" in record:
            images.append(view(facts["view"], np.asarray(available[record[f"{pool}.indices"]])))
        else:
            raise InputError(f"{path}: its {origin} images are not available")
        labels.append(record[name].astype(np.float32 if facts["multi_hot"] else np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _pools_file(folder: Path, source: str) -> Path:
    return folder / "pools" / f"{source}.safetensors"


def _record(job: Job) -> dict[str, np.ndarray]:
    """Arrays <number>.<origin>.<part> of each pool: labels, and indices or, where needed, images."""
    record = {}
    for number, pool in enumerate(pool.resampled() for pool in job.pools):
        prefix = f"{number}.{pool.origin}"
        # Classes and attributes as small integers: a source of 60,000 images takes a fraction of a megabyte.
        record[f"{prefix}.labels"] = pool.labels.astype(np.uint8 if job.multi_hot else np.int32)
        if pool.indices is not None:
            record[f"{prefix}.indices"] = pool.indices.astype(np.int32)
        elif "nearest_neighbour" in job.params.simple_classifiers:
            record[f"{prefix}.images"] = np.ascontiguousarray(pool.images)
    return record
