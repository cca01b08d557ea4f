"""Artifacts of a flow run in Prefect's UI: progress, results, the report, links to MLflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State

from labelmint.data.download import anonymous
from labelmint.reporting.tables import read_results
from pipeline.flow import prefect_environment
from pipeline.tracking.address import tracking_uri
from pipeline.tracking.flow_run import TrackedRun
from pipeline.tracking.pipeline_run import NAME

_COLUMNS = (
    "generator",
    "percent",
    "seed",
    "source",
    "n_real",
    "n_synthetic",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
)


class Progress:
    """Percentage of finished stages. Errors are ignored: an artifact is no reason to stop a run."""

    def __init__(self, total: int):
        self.total = max(total, 1)
        self._artifact: object = None
        with suppress(Exception):
            self._artifact = create_progress_artifact(0.0, key="progress", description=f"{total} stages")

    def set(self, done: int) -> None:
        with suppress(Exception):
            if isinstance(self._artifact, UUID):
                update_progress_artifact(self._artifact, progress=100.0 * done / self.total)


def publish_results(root: Path, tracked: TrackedRun, outcome: Mapping[str, State]) -> None:
    """Publish the report and the results, if this run has updated them, and links to its runs in MLflow."""
    # Keys of artifacts: lower-case letters, digits and dashes.
    dataset = re.sub("[^a-z0-9]+", "-", tracked.settings.dataset.name.lower())
    with suppress(Exception):
        if "report" in outcome and outcome["report"].is_completed():
            create_markdown_artifact(
                (root / "reports" / "results.md").read_text(encoding="utf-8"),
                key=f"report-{dataset}",
                description=f"The page: {root / 'reports' / 'index.html'}",
            )
            results = read_results(root / "reports" / "results.csv")
            rows = [{name: row[name] for name in _COLUMNS} for row in results]
            create_table_artifact(rows, key=f"results-{dataset}", description="One row per classifier")
        if links := tracked.links(mlflow_address(root)):
            create_link_artifact(
                links[NAME],
                link_text="this run in MLflow",
                key="mlflow",
                description="The parent of its stages' runs",
            )
            lines = [f"- [{name}]({address})" for name, address in sorted(links.items()) if name != NAME]
            create_markdown_artifact("\n".join(["# Runs in MLflow", "", *lines]), key="mlflow-stages")


def mlflow_address(root: Path) -> str:
    """URL of MLflow's UI: the tracking server, or the one that `make ui` starts."""
    uri = tracking_uri(root)
    if uri.startswith("http"):
        return anonymous(uri).rstrip("/")  # everybody who opens the page sees the link: no credentials in it
    found = prefect_environment.running_servers(root)
    return found.mlflow if found else "http://127.0.0.1:5000"
