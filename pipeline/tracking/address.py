"""The address of MLflow, and messages that do not reveal its credentials."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labelmint.data.download import public

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
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"labelmint-{dataset}"
