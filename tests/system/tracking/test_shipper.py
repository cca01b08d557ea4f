"""The process that ships spools to MLflow."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from pipeline.tracking import ship
from pipeline.tracking.address import tracking_uri
from pipeline.tracking.spool_folder import waiting
from tests.conftest import ROOT
from tests.system.servers import until

_NO_PROCESS = 2**22 + 1  # above the largest process id


def test_one_shipper_serves_a_workspace(tmp_path):
    """Two are started. The second ends at once, without importing MLflow, and the first ships everything."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri(tmp_path))
    client.search_experiments()  # creates the tables
    for name in ("prepare", "report"):
        folder = tmp_path / ".tracking" / f"{len(name)}-{name}-0"
        (folder / "files").mkdir(parents=True)
        header: dict[str, object] = {
            "name": name,
            "pid": _NO_PROCESS,
            "host": socket.gethostname(),
            "start": 1,
            "parent": None,
        }
        header |= {"uri": tracking_uri(tmp_path), "experiment": "labelmint-digits"}
        header |= {"tags": {"stage": name, "stage_name": name}}
        (folder / "run.json").write_text(json.dumps(header))
        (folder / "events.jsonl").write_text(json.dumps({"time": 5, "end": "FINISHED"}) + "\n")
    command = [sys.executable, "-X", "importtime", "-m", "pipeline.tracking.ship"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), ship.LINGER: "0"}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    until(lambda: list((tmp_path / ".tracking").glob("shipper-*.lock")) or first.poll() is not None)
    second = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "mlflow" not in second.stderr
    assert first.wait(120) == 0
    assert not waiting(tmp_path)
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["prepare", "report"]
    assert {run.info.status for run in runs} == {"FINISHED"}
