"""The address of MLflow, and messages that do not reveal its credentials."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit

from labelmint.data.download import anonymous, public
from labelmint.runtime.atomic_files import save_json
from labelmint.runtime.errors import InputError
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema

_EXPERIMENTS = Path(".tracking") / "experiments.json"
"""Ids of the experiments in the MLflow that was last used, relative to the project's folder."""
_SERVER = "http://127.0.0.1:5000"  # as `make ui` starts it by default
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def own_store(root: Path) -> Path:
    """Absolute path of MLflow's sqlite file in the project's folder."""
    return (root / "mlflow.db").resolve()


def tracking_uri(root: Path) -> str:
    """$MLFLOW_TRACKING_URI, or the URI of the project's own store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own_store(root)}"


def public_uri(root: Path) -> str:
    """The tracking URI without credentials, for messages and records."""
    return public(tracking_uri(root))


def without_credentials(root: Path, error: BaseException) -> str:
    """The message of an error of MLflow's client, in one line; clients quote the URI with its credentials."""
    message = " ".join(str(error).split()).replace(tracking_uri(root), public_uri(root))
    password = urlsplit(tracking_uri(root)).password
    for secret in (password, unquote(password or ""), *(os.environ.get(name) for name in _SECRETS)):
        message = message.replace(secret, "***") if secret else message
    return message[:200]


def experiment_name(dataset: str) -> str:
    """Name of the experiment: one per data set, since only results on the same data are comparable."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or model_name(dataset)


def model_name(dataset: str) -> str:
    """Name of the data set's classifiers in the registry, which allows no slash."""
    return f"labelmint-{dataset.replace('/', '-')}"


def clean_name(name: str) -> str:
    """The name of a number or a tag with characters replaced that MLflow refuses.

    It allows letters, digits and _-./ : only.
    """
    return re.sub(r"[^\w\-./: ]", "_", name.replace("@", "/"))


def experiment_id(root: Path, server: str) -> str:
    """Id of the experiment of params.yaml's data set, as the server knows it; empty if it knows none."""
    try:
        name = experiment_name(schema.load(root / PARAMS_FILE).dataset.name)
        query = urlencode({"experiment_name": name})
        address = f"{server}/api/2.0/mlflow/experiments/get-by-name?{query}"
        with urllib.request.urlopen(address, timeout=5) as answer:  # nosec B310  # an http URL
            return str(json.load(answer)["experiment"]["experiment_id"])
    except (InputError, OSError, ValueError, KeyError):
        return ""


def record_experiments(root: Path, ids: dict[str, str]) -> None:
    """Keep the ids of experiments for `recorded_page`. ids: {name: id}."""
    save_json(root / _EXPERIMENTS, {"uri": public_uri(root), "ids": ids})


def recorded_page(root: Path) -> str:
    """URL of the runs of params.yaml's data set, as recorded; empty if nothing is. Asks no server."""
    try:
        record = json.loads((root / _EXPERIMENTS).read_text(encoding="utf-8"))
        found = record["ids"][experiment_name(schema.load(root / PARAMS_FILE).dataset.name)]
        if record["uri"] != public_uri(root):
            return ""
    except (InputError, OSError, ValueError, KeyError):
        return ""
    return page(_server(), found)


def run_page(experiment_id: str, run_id: str) -> str:
    """URL of one run in the MLflow that is used."""
    return page(_server(), experiment_id, run_id)


def _server() -> str:
    """URL of MLflow's pages: of the tracking server, or of the one that `make ui` starts by default."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return anonymous(uri).rstrip("/") if uri.startswith("http") else _SERVER


def page(server: str, experiment_id: str = "", run_id: str = "") -> str:
    """URL of a page of MLflow's UI.

    Args:
        server: URL of the server.
        experiment_id: The experiment; empty: the list of experiments.
        run_id: One run; empty: the table of all runs of the experiment.
    """
    path = f"/{experiment_id}/runs" + (f"/{run_id}" if run_id else "") if experiment_id else ""
    # Without this, a browser that is new to MLflow 3 shows its GenAI pages, where this project
    # has nothing. MLflow 3.17 and 3.18 ignore the tag mlflow.experimentKind of the experiment there.
    return f"{server}/#/experiments{path}?workflowType=machine_learning"
