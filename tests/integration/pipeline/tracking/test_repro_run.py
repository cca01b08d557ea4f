"""The run of a plain `dvc repro`, which its stages share and which ends with DVC's process."""

from __future__ import annotations

import shutil
import subprocess
import sys

import psutil
import pytest

from pipeline.settings import schema
from pipeline.tracking import repro_run, spool
from pipeline.tracking.address import tracking_uri
from pipeline.tracking.owner import Owner, owner_of_run
from pipeline.tracking.repro_run import ReproRun
from pipeline.tracking.spool import PARENT_RUN, open_tracker
from pipeline.tracking.spool_folder import waiting
from pipeline.tracking.sync import sync_all
from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path, tables, monkeypatch):
    shutil.copy(tables, tmp_path)
    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.delenv(PARENT_RUN, raising=False)
    shutil.copy(ROOT / "experiments/default.yaml", tmp_path / "params.yaml")
    return tmp_path


@pytest.fixture
def dvc(monkeypatch):
    """A process in the place of DVC's."""
    with subprocess.Popen(["sleep", "600"]) as process:
        owner = Owner.of(psutil.Process(process.pid))
        monkeypatch.setattr(repro_run, "owner_of_run", lambda stage: owner)
        yield process
        process.kill()


def stage(root, monkeypatch, name: str, status: str | None) -> None:
    """A stage that ends with this status, or is killed without a word."""
    monkeypatch.setenv("DVC_STAGE", name)
    parent = ReproRun(root, schema.load(root / "params.yaml"))
    tracker = open_tracker(root, name, None, "digits", parent.key)
    if status is not None:
        tracker.close(status)
        parent.close(status)


def parents(root):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri(root))
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], "tags.stage = 'pipeline'")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [(["FINISHED", "FINISHED"], "FINISHED"), (["FINISHED", "FAILED"], "FAILED"), (["KILLED"], "KILLED")],
)
def test_run_has_the_status_of_its_stages_when_dvc_has_ended(root, monkeypatch, dvc, statuses, expected):
    for number, status in enumerate(statuses):
        stage(root, monkeypatch, f"stage_{number}", status)
    assert "1 are still running" in sync_all(root)
    (running,) = parents(root)
    assert running.info.status == "RUNNING"
    assert running.data.params["training.epochs"] == "10"
    dvc.kill()
    dvc.wait()
    sync_all(root)
    (ended,) = parents(root)
    assert ended.info.run_id == running.info.run_id
    assert ended.info.status == expected
    assert not waiting(root)


def test_stage_that_ended_without_a_word_was_killed(root, monkeypatch, dvc):
    stage(root, monkeypatch, "prepare", None)
    dvc.kill()
    dvc.wait()
    monkeypatch.setattr("pipeline.tracking.ship._is_alive", lambda header: False)
    sync_all(root)
    assert parents(root)[0].info.status == "KILLED"


def test_stage_of_a_flow_or_by_hand_has_no_such_run(root, monkeypatch, dvc):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    params = schema.load(root / "params.yaml")
    assert ReproRun(root, params).key is None
    monkeypatch.setenv("DVC_STAGE", "prepare")
    monkeypatch.setenv(PARENT_RUN, "1-pipeline-1")
    assert ReproRun(root, params).key is None
    monkeypatch.delenv(PARENT_RUN)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    assert ReproRun(root, params).key is None
    assert not waiting(root)


def test_results_that_cannot_be_recorded_do_not_fail_the_report(root, monkeypatch, dvc):
    stage(root, monkeypatch, "report", "FINISHED")  # without results.csv
    dvc.kill()
    dvc.wait()
    sync_all(root)
    (run,) = parents(root)
    assert run.info.status == "FINISHED"
    assert "results.csv" in run.data.tags["record_incomplete"]


def test_process_of_dvc_is_the_one_above_the_stage_and_its_shell(monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    code = "from pipeline.tracking.owner import owner_of_run; print(owner_of_run('prepare').pid)"
    found = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{code}"; true'],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "DVC_STAGE": "prepare"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) == psutil.Process().pid
    own = owner_of_run("prepare")
    assert own is not None and own.is_alive()
    assert not Owner(own.pid, own.created - 100).is_alive()


def test_clock_that_is_set_does_not_change_the_owner(monkeypatch):
    own, boot_time, create_time = Owner.of_this_process(), psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3600)
    assert own.is_alive()
    assert Owner.of_this_process().key == own.key
