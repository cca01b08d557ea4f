"""A small run of the whole pipeline as a flow, shared by all tests of its records and results."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import urllib.request
from typing import Any

from pipeline.tracking.spool_folder import waiting
from tests.system.clone import Clone
from tests.system.servers import UiServers, clean_environment, until

PERCENTS = [50, 100]
STAGES = 3 + 5 * len(PERCENTS)
EXPERIMENT = "labelmint-digits"


class RealRun:
    """The run, in the folder of the servers that have its records.

    results: rows of results.csv. clone: the project. flow_run: Prefect's record of the run.
    """

    def __init__(self, ui: UiServers):
        self.ui, self.folder = ui, ui.root
        self.clone = Clone.at(ui.root)
        self.clone.change(
            percents=PERCENTS,
            dataset={"images_per_class": 30},
            classifier={"network": "small_cnn", "steps": 30},
            synthesis={"images_per_class": 30},
        )
        self.first = self.labelmint("run", "--workers", "2")
        assert self.first.returncode == 0, self.first.stderr[-4000:]
        (self.flow_run,) = self.prefect("flow_runs/filter", sort="START_TIME_DESC", limit=1)
        self.ship_everything()
        with (self.folder / "reports/results.csv").open() as file:
            self.results = list(csv.DictReader(file))

    def labelmint(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Prefect's server is found by the command itself; MLflow's is named by its URL, as in a team.
        environment = clean_environment(MLFLOW_TRACKING_URI=self.ui.mlflow, PYTHONPATH=str(self.folder))
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def ship_everything(self) -> None:
        """Wait until all records are in MLflow: the shipper may still be registering the classifier."""
        until(lambda: self.labelmint("sync").returncode == 0 and not waiting(self.folder), 600)

    def prefect(self, path: str, **body: Any) -> Any:
        """Answer of Prefect's API to a POST."""
        api = f"{self.ui.prefect}/api"
        with urllib.request.urlopen(f"{api}/csrf-token?client=tests") as response:
            token = {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": json.load(response)["token"]}
        request = urllib.request.Request(
            f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json", **token}
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def runs(self) -> tuple[Any, Any]:
        """MLflow's client, and all runs of the experiment in the order of their start."""
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self.ui.mlflow)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
