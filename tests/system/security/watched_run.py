"""One run of the flow with both servers, in the environment of a person who has set nothing but secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking.ship import waiting
from tests.conftest import ROOT
from tests.system.tiny_project import TinyProject
from tests.system.servers import Pages, until

WATCH = Path(__file__).parent / "watch"
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "c0rrect-h0rse-1",
    "MLFLOW_TRACKING_TOKEN": "c0rrect-h0rse-2",
    "PREFECT_API_KEY": "c0rrect-h0rse-3",
    "AWS_SECRET_ACCESS_KEY": "c0rrect-h0rse-4",
    "AWS_SESSION_TOKEN": "c0rrect-h0rse-5",
}
IN_ADDRESS = "c0rrect-h0rse-6"


def watched(record: Path, **more: str) -> dict[str, str]:
    """The environment of a person who has set nothing: MLflow and DVC tell nobody by themselves where they see a CI or a test."""
    silencers = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "DVC_NO_ANALYTICS", "DVC_TEST", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")  # fmt: skip
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in silencers and not name.startswith(("PREFECT_", "MLFLOW_", "LABELMINT_", "PYTEST_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **kept,
        "PATH": path,
        "PYTHONPATH": f"{WATCH}{os.pathsep}{ROOT}",
        "LABELMINT_TEST_WATCH": str(record),
        **more,
    }


class Watched:
    """`labelmint ui`, then `labelmint run` with secrets in its environment, which tracks to that MLflow; then DVC and a stage alone."""

    def __init__(self, folder: Path):
        self.project, self.record = TinyProject(folder / "project"), folder / "record"
        self.project.tell("train-40", "track")
        environment = watched(self.record)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            self.pages = Pages(self.project.root, **{name: environment[name] for name in ("PYTHONPATH", "LABELMINT_TEST_WATCH")}, DVC_NO_ANALYTICS="")  # fmt: skip
        uri = self.pages.mlflow.replace("://", f"://user:{IN_ADDRESS}@")
        self.environment = {**environment, **SECRETS, "MLFLOW_TRACKING_URI": uri}
        self.said = self.run("run")
        until(lambda: not waiting(self.project.root), 120)
        self.said += self.run("compare") + self.run("sync") + self.run("doctor")
        self.said += self.dvc("repro", "--force", "report") + self.dvc("status")

    def run(self, *arguments: str) -> str:
        return self._output([sys.executable, "-m", "pipeline.cli.main", *arguments])

    def dvc(self, *arguments: str) -> str:
        return self._output(["dvc", *arguments])

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.project.root, env=self.environment, capture_output=True, text=True, timeout=300)  # fmt: skip
        return done.stdout + done.stderr
