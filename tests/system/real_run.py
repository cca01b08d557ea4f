"""A real small run as a flow, shared by all tests that look at what it left."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import urllib.request

from pipeline.tracking.ship import waiting
from tests.system.clone import Clone
from tests.system.servers import surroundings, until

PERCENTS = [50, 100]
STAGES = 3 + 5 * len(PERCENTS)
EXPERIMENT = "labelmint-digits"


class Real:
    """The run, and the servers that know of it."""

    def __init__(self, pages):
        self.pages, self.folder = pages, pages.root
        self.clone = Clone.__new__(Clone)
        self.clone.folder = pages.root
        self.clone.change(
            percents=PERCENTS,
            dataset={"images_per_class": 30},
            classifier={"network": "small_cnn", "steps": 30},
            synthesis={"images_per_class": 30},
        )
        self.first = self.labelmint("run", "--workers", "2")
        assert self.first.returncode == 0, self.first.stderr[-4000:]
        self.all_told()
        with (self.folder / "reports/results.csv").open() as file:
            self.results = list(csv.DictReader(file))

    def labelmint(self, *arguments: str) -> subprocess.CompletedProcess:
        # The servers of `make ui` are found by themselves; MLflow's is asked by its address, as a team would.
        environment = surroundings(MLFLOW_TRACKING_URI=self.pages.mlflow, PYTHONPATH=str(self.folder))
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def all_told(self) -> None:
        """The shipper may still be at work on the classifier."""
        until(lambda: self.labelmint("sync").returncode == 0 and not waiting(self.folder), 600)

    def prefect(self, path: str, **body):
        api = f"{self.pages.prefect}/api"
        with urllib.request.urlopen(f"{api}/csrf-token?client=tests") as response:
            token = {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": json.load(response)["token"]}
        request = urllib.request.Request(
            f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json", **token}
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def runs(self):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self.pages.mlflow)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
