"""The classifier of a pipeline run in MLflow's registry, and which version bears the alias `best`.

The rule: of all classifiers of one data set, real, synthetic and mixed alike, the one whose accuracy on the test images has the
highest lower end of its 95 % interval; among equals, the one that saw fewer real images. It is thereby chosen on the test set:
quote the accuracy of `best` from images that had no part in the choice.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmint.runtime.atomic_files import load_json
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from pipeline.tracking.spool import SpoolTracker
    from pipeline.tracking.store import Store

ALIAS = "best"


def offer(layout: Paths, arms: list[Arm], tracker: SpoolTracker) -> dict[str, Any] | None:
    """Put the best classifier of these arms into the spool. Returns: what is known of it, or None when there is none."""
    rows = [
        (row, layout.baseline(arm) if row["source"] == "real" else layout.classifiers(arm))
        for arm in arms
        if layout.metrics(arm).exists()
        for row in load_json(layout.metrics(arm))["rows"]
    ]
    if not rows or tracker.folder is None:
        return None
    row, folder = max(rows, key=lambda each: rank(each[0]))
    source = row["source"]
    facts = load_json(folder / "classifiers.json")[source]
    chosen = {
        name: row[name] for name in ("dataset", "generator", "percent", "seed", "source", "n_real", "n_synthetic")
    }
    chosen |= {name: row[name] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    chosen |= {"classifier": folder.name, "weights_sha256": facts["weights_sha256"], "shape": facts["shape"]}
    kept = tracker.folder / "files" / "model"
    kept.mkdir(exist_ok=True)
    for name in ("classifiers.json", f"{source}.safetensors"):
        shutil.copyfile(folder / name, kept / name)
    tracker.write({"model": chosen, "file": kept.name})
    return chosen


def rank(row: dict[str, Any]) -> tuple[float, int]:
    return float(row["accuracy_low"]), -int(row["n_real"])


def register(store: Store, run_id: str, folder: Path, chosen: dict[str, Any]) -> None:
    """Log the classifier with its signature to the run, register it as labelmint-<dataset>, and move `best` if it is due.

    Weights that are registered already are not registered again. The file is a torch.export program: it needs none of this
    project's code, and nothing in it is unpickled.
    """
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, infer_signature

    from labelmint.classifiers import archive

    client, name = store.client, f"labelmint-{chosen['dataset']}"
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name, description=(__doc__ or "").split("\n\n", 1)[1])
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((each for each in versions if each.tags.get("weights_sha256") == chosen["weights_sha256"]), None)
    if version is None:
        network = archive.network(folder, chosen["source"])
        images = np.zeros((2, *chosen["shape"]), np.float32)
        with torch.no_grad():
            logits = network(torch.from_numpy(images)).numpy()
        mlflow.set_tracking_uri(store.uri)
        mlflow.set_registry_uri(store.uri)
        logged = Model.log(
            None,
            mlflow.pytorch,
            name="classifier",
            run_id=run_id,
            pytorch_model=network,
            input_example=images,  # torch.export needs one
            signature=infer_signature(images, logits),
            serialization_format="pt2",
            pip_requirements=[
                f"torch=={torch.__version__.split('+')[0]}",
                "numpy",
            ],  # inferring them takes half a minute
        )
        version = client.create_model_version(
            name, logged.model_uri, run_id, {key: str(value) for key, value in chosen.items()}, model_id=logged.model_id
        )
        versions.append(version)
    told = {each.version: each.tags for each in versions}
    told[version.version] = {key: str(value) for key, value in chosen.items()}
    # By the highest rank of all versions, so that sending this twice, or late, ends the same.
    best = max((number for number in told if "accuracy_low" in told[number]), key=lambda number: rank(told[number]))
    client.set_registered_model_alias(name, ALIAS, best)
    client.set_tag(run_id, "registered_model", json.dumps({"name": name, "version": version.version, "best": best}))
