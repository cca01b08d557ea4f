"""The classifiers of pipeline runs in MLflow's registry, and the version with the alias `best`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmint.runtime.atomic_files import load_json
from pipeline.tracking.address import model_name
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from pipeline.tracking.spool import SpoolTracker

ALIAS = "best"
_RULE = (
    "The alias `best` names, of all classifiers of the data set, the one whose accuracy on the test images "
    "has the highest lower end of its 95 % interval; of equal ones, the one with fewer real training images. "
    "It is therefore selected on the test set: measure the accuracy that you report on images that took no "
    "part in the selection."
)
"""Description in the registry."""


def offer(paths: Paths, arms: list[Arm], tracker: SpoolTracker) -> dict[str, Any] | None:
    """Put the best classifier of these arms into the spool.

    Returns: the facts about it, or None if there is no classifier.
    """
    rows = [
        (row, paths.baseline(arm) if row["source"] == "real" else paths.classifiers(arm))
        for arm in arms
        if paths.metrics(arm).exists()
        for row in load_json(paths.metrics(arm))["rows"]
    ]
    if not rows or tracker.folder is None:
        return None
    row, folder = max(rows, key=lambda each: rank(each[0]))
    source = row["source"]
    facts = load_json(folder / "classifiers.json")[source]
    names = ("dataset", "generator", "percent", "seed", "source", "n_real", "n_synthetic")
    best = {name: row[name] for name in (*names, "accuracy", "accuracy_low", "accuracy_high")}
    best |= {"classifier": folder.name, "weights_sha256": facts["weights_sha256"], "shape": facts["shape"]}
    target = tracker.folder / "files" / "model"
    target.mkdir(exist_ok=True)
    for name in ("classifiers.json", f"{source}.safetensors"):
        shutil.copyfile(folder / name, target / name)
    tracker.write({"model": best, "file": target.name})
    return best


def rank(row: dict[str, Any]) -> tuple[float, int]:
    """Sort key of a row of results; the best classifier has the highest."""
    return float(row["accuracy_low"]), -int(row["n_real"])


def register(client: Any, uri: str, run_id: str, folder: Path, facts: dict[str, Any]) -> None:
    """Log the classifier with its signature, register it as labelmint-<dataset>, and update the alias `best`.

    Weights that are registered already are not registered again. The logged file is a torch.export program:
    it needs none of this project's code, and loading it unpickles nothing.

    Args:
        client: MLflow's client.
        uri: Address of its MLflow.
        run_id: Id of the run that trained or evaluated it.
        folder: Folder with the classifier's weights.
        facts: What `offer` returned.
    """
    from mlflow.exceptions import MlflowException

    name = model_name(facts["dataset"])
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name, description=_RULE)
    versions = client.search_model_versions(f"name = '{name}'")
    tags = {key: str(value) for key, value in facts.items()}
    version = next(
        (each for each in versions if each.tags.get("weights_sha256") == facts["weights_sha256"]), None
    )
    if version is None:
        logged = _log_model(client, uri, run_id, folder, facts)
        version = client.create_model_version(name, logged.model_uri, run_id, tags, model_id=logged.model_id)
        versions.append(version)
    tags_of = {each.version: each.tags for each in versions} | {version.version: tags}
    # The maximum over all versions, so that registering twice or in another order has the same result.
    best = max(
        (number for number in tags_of if "accuracy_low" in tags_of[number]), key=lambda n: rank(tags_of[n])
    )
    client.set_registered_model_alias(name, ALIAS, best)
    client.set_tag(
        run_id, "registered_model", json.dumps({"name": name, "version": version.version, "best": best})
    )


def _log_model(client: Any, uri: str, run_id: str, folder: Path, facts: dict[str, Any]) -> Any:
    """Log the classifier to the run. Returns: MLflow's ModelInfo."""
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import Model, infer_signature

    from labelmint.classifiers import archive

    network = archive.network(folder, facts["source"])
    images = np.zeros((2, *facts["shape"]), np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(images)).numpy()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return Model.log(
        None,
        mlflow.pytorch,
        name="classifier",
        run_id=run_id,
        model_id=_logged_model(client, run_id),
        pytorch_model=network,
        input_example=images,  # torch.export needs one
        signature=infer_signature(images, logits),
        serialization_format="pt2",
        # Inferring the requirements takes half a minute.
        pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "numpy"],
    )


def _logged_model(client: Any, run_id: str) -> str:
    """Id of a new logged model in the run's experiment; MLflow would take the experiment called Default."""
    experiment = client.get_run(run_id).info.experiment_id
    created = client.create_logged_model(experiment, name="classifier", source_run_id=run_id)
    return str(created.model_id)
