"""Records and runs that MLflow refuses or has lost, and a store that is broken."""

from __future__ import annotations

import json

import pytest

from pipeline.tracking import ship
from pipeline.tracking.address import tracking_uri
from pipeline.tracking.destinations.mlflow import Store
from pipeline.tracking.spool import open_tracker
from pipeline.tracking.spool_folder import waiting
from pipeline.tracking.sync import sync_all
from tests.integration.pipeline.tracking.records import runs_of


def test_refused_records_are_set_aside_and_the_rest_is_shipped(root, monkeypatch):
    """A name that MLflow refuses, a param that changes, a damaged figure and a damaged line."""
    tracker = open_tracker(root, "prepare", None, "digits")
    assert tracker.folder is not None
    tracker.log_metrics({f"metric_{number}": number for number in range(50)} | {"../up": 1.0})
    tracker.log_params({"a": 1, "b": 2})
    monkeypatch.setattr(ship, "_is_alive", lambda header: True)
    sync_all(root)
    tracker.log_params({"a": 3, "c": "\udcff\0"})
    tracker.log_figure("samples", b"no image")
    tracker.write({"tags": {"kept": "yes"}})
    with (tracker.folder / "events.jsonl").open("ab") as file:
        file.write(b"\xff\0\n")
    tracker.close("FINISHED")
    other = open_tracker(root, "evaluate", None, "digits")
    other.close("FINISHED")
    said = sync_all(root)
    assert said.startswith("2 of 2 runs shipped")
    assert "4 records refused and kept in .tracking/refused" in said
    assert not waiting(root)
    data = runs_of(root)["prepare"].data
    assert [data.metrics[f"metric_{number}"] for number in range(50)] == list(range(50))
    assert data.params == {"a": "1", "b": "2", "c": r"\udcff\0"}
    assert data.tags["kept"] == "yes"
    (file,) = (root / ".tracking" / "refused").iterdir()
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [next(name for name in each if name != "reason") for each in records] == [
        "metric",
        "line",
        "param",
        "time",
    ]
    assert records[0]["metric"]["key"] == "../up"
    assert "must not resolve to other names" in records[0]["reason"]
    assert "Changing param values is not allowed" in records[2]["reason"]


def test_refused_run_is_set_aside_as_a_whole(root):
    for name in ("prepare", "evaluate"):
        open_tracker(root, name, None, "digits").close("FINISHED")
    damaged = waiting(root)[0]
    (damaged / "run.json").write_bytes(b'{"name": ')
    assert sync_all(root).startswith("2 of 2 runs shipped")
    assert (root / ".tracking" / "refused" / damaged.name / "events.jsonl").exists()
    assert list(runs_of(root)) == ["evaluate"]


def test_broken_store_sets_nothing_aside(root, monkeypatch):
    """An error that MLflow gives for every request is one of the store, and not of the records."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST
    from mlflow.tracking import MlflowClient

    def malformed(*_: object, **__: object) -> None:
        raise MlflowException("database disk image is malformed", BAD_REQUEST)

    open_tracker(root, "prepare", None, "digits").close("FINISHED")
    for name in ("get_experiment_by_name", "search_experiments"):
        monkeypatch.setattr(MlflowClient, name, malformed)
    with pytest.raises(ConnectionError, match="malformed"):
        sync_all(root)
    assert waiting(root)
    assert not (root / ".tracking" / "refused").exists()


def test_run_that_was_deleted_in_mlflow_is_created_again(root, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setattr(ship, "_is_alive", lambda header: True)
    tracker = open_tracker(root, "prepare", None, "digits")
    store = Store(root)
    ship.ship(store, "mlflow", waiting(root)[0])
    MlflowClient(tracking_uri(root)).delete_run(runs_of(root)["prepare"].info.run_id)
    tracker.log_metrics({"n": 1.0})
    tracker.close("FINISHED")
    with pytest.raises(ConnectionError, match="was deleted in MLflow"):
        ship.ship(store, "mlflow", waiting(root)[0])
    assert sync_all(root).startswith("1 of 1 runs shipped")
    assert runs_of(root)["prepare"].data.metrics["n"] == 1.0
