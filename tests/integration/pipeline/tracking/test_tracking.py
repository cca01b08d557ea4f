"""Tracking: what arrives in MLflow, once, and that a stage continues where it cannot be tracked."""

from __future__ import annotations

import hashlib
import json
import sys
import types

import pytest

from pipeline.tracking import ship, spool, system_metrics
from pipeline.tracking.address import tracking_uri
from pipeline.tracking.destinations.mlflow import Store
from pipeline.tracking.spool import PARENT_RUN, open_spool, open_tracker
from pipeline.tracking.spool_folder import waiting
from pipeline.tracking.sync import sync_all
from stages.paths import Arm
from tests.integration.pipeline.tracking.records import log_everything, runs_of


def test_stage_becomes_a_run_with_all_its_records(root):
    from mlflow.tracking import MlflowClient

    tracker = open_tracker(root, "train_generators", Arm("dcgan", 40, 0), "digits")
    log_everything(tracker, root)
    tracker.close("FINISHED")  # at once: a short stage has system metrics all the same
    assert sync_all(root).startswith("1 of 1 runs shipped")
    assert not waiting(root)

    client, runs = MlflowClient(tracking_uri(root)), runs_of(root)
    run, child = runs["train_generators@dcgan-40-0"], runs["class 3"]
    assert run.info.status == child.info.status == "FINISHED"
    assert run.data.params == {"percent": "40", "seed": "0", "generator": "dcgan", "training.epochs": "8"}
    assert run.data.metrics["percent"] == 40  # a metric too, so that it can be an axis
    history = client.get_metric_history(run.info.run_id, "accuracy/real _all_")
    assert [(point.step, point.value) for point in history] == [(1, 1), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert {"system/cpu_utilization_percentage", "system/stage_memory_megabytes"} <= run.data.metrics.keys()
    assert {"training.csv", "images"} <= {each.path for each in client.list_artifacts(run.info.run_id)}
    assert tracking_uri(root) == f"sqlite:///{root}/mlflow.db"

    # The class is a child run of the stage's.
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert [point.value for point in client.get_metric_history(child.info.run_id, "g_loss")] == [2, 4, 6]

    # The data set is identified by the hash of the manifest, which names every image by its own.
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "digits"
    assert json.loads(data.dataset.profile)["n_train"] == 7
    assert data.dataset.digest == hashlib.sha256((root / "manifest.json").read_bytes()).hexdigest()[:36]

    # Figures have the names by which MLflow's UI finds them for its slider over steps.
    names = sorted(each.path for each in client.list_artifacts(run.info.run_id, "images"))
    assert [name.split("+")[:3] for name in names if name.endswith("png")] == [
        ["images/samples", "step", "1"],
        ["images/samples", "step", "2"],
    ]
    assert run.data.tags["mlflow.loggedImages"] == "True"
    assert sum(name.endswith("webp") for name in names) == 2


def test_sending_everything_again_changes_nothing(root, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setattr(ship, "_is_alive", lambda header: True)
    tracker = open_tracker(root, "train_generators", Arm("dcgan", 40, 0), "digits")
    log_everything(tracker, root)
    (folder,) = waiting(root)
    store = Store(root)
    for _ in range(2):  # as if killed before the cursor was written, twice
        ship.ship(store, "mlflow", folder)
        (folder / "shipped-mlflow").unlink()
        store = Store(root)
    tracker.close("FINISHED")
    assert ship.ship(store, "mlflow", folder)
    client, run = MlflowClient(tracking_uri(root)), runs_of(root)["train_generators@dcgan-40-0"]
    assert len(client.get_metric_history(run.info.run_id, "accuracy/real _all_")) == 3
    assert len(client.list_artifacts(run.info.run_id, "images")) == 4
    assert sync_all(root).startswith("0 of 0")


def test_pipeline_run_is_the_parent_and_names_what_it_reused(root, monkeypatch):
    from mlflow.tracking import MlflowClient

    for number, outcome in enumerate(
        ({"tags": {"ran.prepare": "f1"}}, {"reused": {"prepare": "f1", "other": "f9"}})
    ):
        parent = open_spool(
            root, "pipeline", {"stage": "pipeline", "stage_name": "pipeline", "n": number}, "digits"
        )
        assert parent.folder is not None
        monkeypatch.setenv(PARENT_RUN, parent.folder.name)
        monkeypatch.setenv(
            "MLFLOW_RUN_ID", "0" * 32
        )  # another run's, which MLflow's own start_run would continue
        if number == 0:
            child = open_tracker(root, "prepare", None, "digits")
            child.log_metrics({"n": 1.0})
            assert child.page() == ""  # MLflow knows no run yet
            child.close("FINISHED")
            # The child is shipped first: its parent's run is created, once.
            ship.ship(Store(root), "mlflow", waiting(root)[1])
            later = open_tracker(root, "report", None, "digits")
            link = later.page()
            later.close("FINISHED")
        parent.write(outcome)
        parent.close("FINISHED")
        monkeypatch.delenv(PARENT_RUN)
        sync_all(root)

    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    first, second = sorted(
        (run for run in runs if run.info.run_name == "pipeline"), key=lambda run: run.data.tags["n"]
    )
    (child_run,) = (run for run in runs if run.info.run_name == "prepare")
    assert len(runs) == 4
    assert link == (
        f"http://127.0.0.1:5000/#/experiments/{first.info.experiment_id}/runs/{first.info.run_id}"
        "?workflowType=machine_learning"
    )
    assert child_run.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert second.data.tags["reused.prepare"] == child_run.info.run_id
    assert "reused.other" not in second.data.tags
    assert "mlflow.parentRunId" not in second.data.tags


def test_killed_stage_is_shipped_as_killed(root):
    tracker = open_tracker(root, "prepare", None, "digits")
    tracker.log_metrics({"n": 1.0})
    (folder,) = waiting(root)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": 5, "metr')  # killed within a line
    sync_all(root)
    run = runs_of(root)["prepare"]
    assert run.info.status == "KILLED"
    assert run.data.metrics["n"] == 1.0


def test_killed_stage_without_records_is_shipped_too(root):
    open_tracker(root, "prepare", None, "digits")
    assert sync_all(root).startswith("1 of 1")
    assert runs_of(root)["prepare"].info.status == "KILLED"


def test_running_stage_is_not_ended(root, monkeypatch):
    monkeypatch.setattr(ship, "_is_alive", lambda header: True)
    open_tracker(root, "prepare", None, "digits").log_metrics({"n": 1.0})
    assert "1 are still running" in sync_all(root)
    assert waiting(root)
    assert runs_of(root)["prepare"].info.status == "RUNNING"


def test_more_than_mlflow_takes_at_once(root):
    """MLflow takes 1,000 metrics and 100 params a request, and 6,000 characters a param."""
    tracker = open_tracker(root, "prepare", None, "digits")
    tracker.log_params({f"setting.{number}": number for number in range(250)} | {"long": "x" * 7000})
    tracker.log_metrics({f"metric_{number}": number for number in range(2500)})
    tracker.close("FINISHED")
    sync_all(root)
    data = runs_of(root)["prepare"].data
    assert data.params["setting.249"] == "249"
    assert len(data.params) == 251
    assert data.params["long"] == "x" * 6000
    assert data.metrics["metric_2499"] == 2499


def test_large_file_is_named_but_not_copied(root, monkeypatch):
    monkeypatch.setattr(spool, "_MAX_FILE_BYTES", 10)
    (root / "weights.bin").write_bytes(bytes(11))
    tracker = open_tracker(root, "prepare", None, "digits")
    tracker.log_file(root / "weights.bin")
    tracker.close("FINISHED")
    sync_all(root)
    assert runs_of(root)["prepare"].data.tags["not_logged.weights.bin"] == "11 bytes"


def test_stage_continues_if_its_spool_cannot_be_written(root, capsys):
    (root / ".tracking").write_text("in the way")
    tracker = open_tracker(root, "prepare", None)
    tracker.log_metrics({"a": 1.0})
    tracker.close("FINISHED")
    assert "not tracked" in capsys.readouterr().err


def test_tracking_can_be_switched_off(root, monkeypatch):
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    tracker = open_tracker(root, "prepare", None)
    log_everything(tracker, root)
    tracker.close("FINISHED")
    assert not (root / ".tracking").exists()


def test_gpu_that_does_not_report_every_value(monkeypatch):
    class NVMLError(Exception):
        pass

    def unsupported(handle):
        raise NVMLError

    driver = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=unsupported,  # as a slice of a card (MIG) answers
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=(handle + 1) * 1_000_000),
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    found = {name: value for name, value in system_metrics.read().items() if "gpu" in name}
    assert found == {
        "system/gpu_0_memory_usage_megabytes": 1.0,
        "system/gpu_0_power_usage_watts": 250.0,
        "system/gpu_1_memory_usage_megabytes": 2.0,
        "system/gpu_1_power_usage_watts": 250.0,
    }
