"""One run of the flow with both servers, in the environment of a user who has set nothing but secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking.spool_folder import waiting
from tests.conftest import ROOT
from tests.system.servers import UiServers, until
from tests.system.tiny_project import TinyProject

WATCH = Path(__file__).parent / "watch"
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "c0rrect-h0rse-1",
    "MLFLOW_TRACKING_TOKEN": "c0rrect-h0rse-2",
    "PREFECT_API_KEY": "c0rrect-h0rse-3",
    "AWS_SECRET_ACCESS_KEY": "c0rrect-h0rse-4",
    "AWS_SESSION_TOKEN": "c0rrect-h0rse-5",
}
SECRET_IN_URL = "c0rrect-h0rse-6"
# MLflow and DVC send no telemetry by themselves in a CI or a test.
_SILENCERS = {"CI", "GITHUB_ACTIONS", "DVC_NO_ANALYTICS", "DVC_TEST", "DO_NOT_TRACK"}
_PREFIXES = ("PREFECT_", "MLFLOW_", "LABELMINT_", "PYTEST_")


def watched(record: Path, **more: str) -> dict[str, str]:
    """Environment of a user who has set nothing. Connections to other machines are written to `record`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _SILENCERS and not name.startswith(_PREFIXES)
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{WATCH}{os.pathsep}{ROOT}",
        "LABELMINT_TEST_WATCH": str(record),
        **more,
    }


class WatchedRun:
    """`labelmint ui`, and `labelmint run` with secrets in its environment, tracked in that MLflow; then DVC.

    record: file with the connections to other machines. output: of all commands.
    """

    def __init__(self, folder: Path):
        self.project, self.record = TinyProject(folder / "project"), folder / "record"
        self.project.set_behaviour("train-40", "track")
        environment = watched(self.record)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            own = {name: environment[name] for name in ("PYTHONPATH", "LABELMINT_TEST_WATCH")}
            self.ui = UiServers(self.project.root, **own, DVC_NO_ANALYTICS="")
        uri = self.ui.mlflow.replace("://", f"://user:{SECRET_IN_URL}@")
        self.environment = {**environment, **SECRETS, "MLFLOW_TRACKING_URI": uri}
        self.output = self.labelmint("run")
        until(lambda: not waiting(self.project.root), 120)
        for command in ("compare", "sync", "doctor"):
            self.output += self.labelmint(command)
        self.output += self.run("dvc", "repro", "--force", "report") + self.run("dvc", "status")

    def labelmint(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "pipeline.cli.main", *arguments)

    def run(self, *command: str) -> str:
        """Output of a command."""
        done = subprocess.run(
            command,
            cwd=self.project.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout + done.stderr
