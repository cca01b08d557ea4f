"""What a flow run shows in Prefect's UI: how far it is, the results, the report, links to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from labelmint.data.download import anonymous
from pipeline.flow import prefect_environment
from pipeline.tracking.pipeline_run import NAME, TrackedRun, results

_SHOWN = (
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
    """Share of the stages that are done. An artifact that cannot be written is no reason to stop."""

    def __init__(self, total: int):
        self.total, self._artifact = max(total, 1), None
        with suppress(Exception):
            self._artifact = create_progress_artifact(0.0, key="progress", description=f"{total} stages")

    def set(self, done: int) -> None:
        with suppress(Exception):
            if isinstance(self._artifact, UUID):
                update_progress_artifact(self._artifact, progress=100.0 * done / self.total)


def publish_results(root: Path, tracked: TrackedRun, outcome: Mapping[str, Any]) -> None:
    """Report and results, where this run has made sure of them, and where in MLflow its stages are."""
    dataset = tracked.settings.dataset.name.replace("_", "-")  # keys: small letters, digits and dashes
    with suppress(Exception):
        if "report" in outcome and outcome["report"].is_completed():
            create_markdown_artifact((root / "reports" / "results.md").read_text(), key=f"report-{dataset}", description=f"The page: {root / 'reports' / 'index.html'}")  # fmt: skip
            rows = [{name: row[name] for name in _SHOWN} for row in results(root)]
            create_table_artifact(rows, key=f"results-{dataset}", description="One row per classifier")
        if links := tracked.links(mlflow_address(root)):
            create_link_artifact(links[NAME], link_text="this run in MLflow", key="mlflow", description="Its stages are below it")  # fmt: skip
            lines = [f"- [{name}]({address})" for name, address in sorted(links.items()) if name != NAME]
            create_markdown_artifact("\n".join(["# Runs in MLflow", "", *lines]), key="mlflow-stages")


def mlflow_address(root: Path) -> str:
    """Where MLflow's pages are: its server, or the one that `make ui` starts."""
    from pipeline.tracking.spool import tracking_uri

    uri = tracking_uri(root)
    if uri.startswith("http"):
        return anonymous(uri).rstrip("/")  # a link is for all who see the page: no credentials in it
    found = prefect_environment.running(root)
    return found.mlflow if found else "http://127.0.0.1:5000"
