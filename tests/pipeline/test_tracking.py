"""Tracking: what arrives in MLflow, and that nothing MLflow does reaches a stage."""

from __future__ import annotations

import json
import os
import time

import pytest
from PIL import Image

from pipeline.tracking import ship
from pipeline.tracking.spool import WAIT, SpoolTracker, open_tracker
from stages.prepare.layout import Arm
from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def log_something(tracker: SpoolTracker, root) -> None:
    tracker.log_params({"training.epochs": 8})
    for step in (1, 2, 3):
        tracker.log_metrics({"g_loss/3": 1.0 / step}, step=step)
    Image.new("L", (8, 8), 99).save(root / "grid.png")
    tracker.log_figure("samples", (root / "grid.png").read_bytes(), step=2)
    (root / "training.csv").write_text("a,b\n1,2\n")
    tracker.log_file(root / "training.csv")


@pytest.mark.slow
def test_a_stage_becomes_a_run_with_all_it_said(root):
    from mlflow.tracking import MlflowClient

    tracker = open_tracker(root, "train_generators", Arm("dcgan", 40, 0))
    log_something(tracker, root)
    time.sleep(1.2)  # one reading of the system
    tracker.close("FINISHED")
    assert not ship.waiting(root)

    client = MlflowClient(ship.tracking_uri(root))
    (run,) = client.search_runs([client.get_experiment_by_name("labelmint").experiment_id])
    assert run.info.run_name == "train_generators@dcgan-40-0" and run.info.status == "FINISHED"
    assert run.data.params == {"percent": "40", "seed": "0", "generator": "dcgan", "training.epochs": "8"}
    assert run.data.metrics["percent"] == 40
    assert [point.value for point in client.get_metric_history(run.info.run_id, "g_loss/3")] == [
        1,
        0.5,
        pytest.approx(1 / 3),
    ]
    assert {"system/cpu_utilization_percentage", "system/stage_memory_megabytes"} <= run.data.metrics.keys()
    names = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"training.csv", "images"} <= names
    assert ship.tracking_uri(root) == f"sqlite:///{root}/mlflow.db"


def test_an_unreachable_server_costs_a_stage_little_and_loses_nothing(root, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv(WAIT, "30")
    tracker = open_tracker(root, "prepare", None)
    log_something(tracker, root)
    tracker.close("FINISHED")
    said = capsys.readouterr().err
    assert "not in MLflow yet (http://127.0.0.1:9" in said and said.count("\n") == 1
    (folder,) = ship.waiting(root)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(ship, "_alive", lambda pid: False)  # this process stands for the stage, which is over
    assert ship.ship(root, folder) and not ship.waiting(root)


def test_a_stage_that_was_killed_is_shipped_as_killed_and_nothing_twice(root, monkeypatch):
    from mlflow.tracking import MlflowClient

    folder = root / ".tracking" / "1-prepare-0"
    (folder / "files").mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"name": "prepare", "pid": 2**22 + 1, "start": 1, "parent": None, "tags": {"stage": "prepare"}})
    )
    line = json.dumps({"time": 5, "metrics": {"n": 1.0}, "step": 0})
    (folder / "events.jsonl").write_text(f"{line}\n{line}\n{line[:9]}")  # it died within a line
    send, calls = ship._send, []

    def cut_off(client, run_id, where, events):
        send(client, run_id, where, events)
        calls.append(len(events))
        if len(calls) == 1:
            raise ConnectionError("cut")

    monkeypatch.setattr(ship, "_send", cut_off)
    with pytest.raises(ConnectionError):
        ship.ship(root, folder)
    assert ship.ship(root, folder)
    client = MlflowClient(ship.tracking_uri(root))
    (run,) = client.search_runs([client.get_experiment_by_name("labelmint").experiment_id])
    assert run.info.status == "KILLED" and run.data.metrics == {"n": 1.0}


def test_a_stage_goes_on_when_its_spool_cannot_be_written(root, capsys):
    (root / ".tracking").write_text("in the way")
    tracker = open_tracker(root, "prepare", None)
    tracker.log_metrics({"a": 1.0})
    tracker.close("FINISHED")
    assert "not tracked" in capsys.readouterr().err


def test_off_means_off(root, monkeypatch):
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    tracker = open_tracker(root, "prepare", None)
    log_something(tracker, root)
    tracker.close("FINISHED")
    assert not (root / ".tracking").exists()


def test_spools_of_running_stages_are_left_to_their_own_shipper(root):
    folder = root / ".tracking" / "1-prepare"
    (folder / "files").mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"name": "prepare", "pid": os.getpid(), "start": 1, "parent": None, "tags": {}})
    )
    (folder / "events.jsonl").touch()
    assert ship.ship(root, folder) is False and folder.exists()
