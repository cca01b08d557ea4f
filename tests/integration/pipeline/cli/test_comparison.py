"""`labelmint compare`: the runs it takes from MLflow, and what it prints of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from labelmint.runtime.errors import InputError
from pipeline.cli import comparison, earlier
from pipeline.settings import schema
from pipeline.tracking import evaluations, ship, spool
from pipeline.tracking.spool import PARENT_RUN, open_spool, open_tracker
from pipeline.tracking.sync import sync_all
from stages.paths import Arm, Paths
from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path, tables, monkeypatch):
    """A project with the default's settings, percents 40 and 60, and no records yet."""
    shutil.copy(tables, tmp_path)
    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.setattr(ship, "_is_alive", lambda header: header["pid"] != os.getpid())
    shutil.copy(ROOT / "experiments/default.yaml", tmp_path / "params.yaml")
    change(tmp_path, percents=[40, 60])
    return tmp_path


def change(root: Path, epochs: int | None = None, **lists: list[int] | list[str]) -> None:
    """Set training.epochs or lists of arms in params.yaml."""
    content = yaml.safe_load((root / "params.yaml").read_text()) | lists
    content["training"]["epochs"] = epochs or content["training"]["epochs"]
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def evaluate(root: Path, percent: int, accuracy: float, status: str = "FINISHED", **tags: str) -> str:
    """Record what the stage evaluate records. Returns the MD5 of the metrics."""
    arm = Arm("dcgan", percent, 0)
    tracker = open_tracker(root, "evaluate", arm, "digits")
    for source, value in (("real", 0.9), ("synthetic", accuracy)):
        bounds = {f"accuracy_low/{source}": value - 0.02, f"accuracy_high/{source}": value + 0.01}
        tracker.log_metrics({f"accuracy/{source}": value, **bounds})
    tracker.log_metrics({"gan_test": 0.5, "kid/synthetic": 1.5})
    path = Paths(root).metrics(arm)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(accuracy))
    evaluations.identify(root, schema.load(root / "params.yaml"), arm, tracker)
    tracker.close(status)
    return evaluations.md5(path)


@contextmanager
def pipeline_run(root: Path, monkeypatch: pytest.MonkeyPatch, **events: dict[str, str]) -> Iterator[None]:
    """The run of a flow, whose stages run within the block. events: written to its record at its end."""
    tracker = open_spool(root, "pipeline", {"stage": "pipeline", "stage_name": "pipeline"}, "digits")
    assert tracker.folder is not None
    with monkeypatch.context() as patch:
        patch.setenv(PARENT_RUN, tracker.folder.name)
        yield
    for kind, content in events.items():
        tracker.write({kind: content})
    tracker.close("FINISHED")
    sync_all(root)


def synthetic(found: comparison.Comparison) -> dict[int, float]:
    """Accuracies with synthetic images by percent."""
    return {row["percent"]: row["accuracy"] for row in found.rows if row["source"] == "synthetic"}


def pipelines(root: Path) -> list[str]:
    """Ids of the pipeline runs in MLflow, oldest first."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    found = client.search_runs(
        [experiment.experiment_id], "tags.stage = 'pipeline'", order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]


def test_runs_are_those_of_the_settings_in_force(root, monkeypatch):
    with pytest.raises(InputError, match="no results of digits in MLflow at sqlite:///.*labelmint sync"):
        comparison.collect(root)
    seven = yaml.safe_load((root / "params.yaml").read_text())["training"]["epochs"]
    with pipeline_run(root, monkeypatch, tags={"ran.evaluate@dcgan-40-0": "f40"}):
        evaluate(root, 40, 0.5)
        evaluate(root, 60, 0.6)
        evaluate(root, 60, 0.1, status="FAILED")
        evaluate(root, 80, 0.8)  # of a percent that params.yaml does not name later
    change(root, epochs=1)
    with pipeline_run(root, monkeypatch):
        evaluate(root, 40, 0.2)
    assert synthetic(comparison.collect(root)) == {40: 0.2}

    # The settings of the first run are in force again.
    change(root, epochs=seven)
    found = comparison.collect(root)
    assert synthetic(found) == {40: 0.5, 60: 0.6}
    assert found.rows[1]["kid"] == 1.5
    assert "gan_test" not in found.rows[1]
    lines = comparison.to_text(found).splitlines()
    assert lines[0].split() == ["generator", "real", "data", "seed", "real", "synthetic", "mixed"]
    assert "50.00 [48.00, 51.00]" in lines[1]
    assert lines[1].endswith("–")
    assert len(lines) == 3
    comparison.plot(found, root / "plot.png", "digits")
    assert (root / "plot.png").stat().st_size > 5000

    # MLflow's own search tells the runs apart.
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    query = "params.`training.epochs` = '1' and params.`families.dcgan.latent_size` = '64'"
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], query)
    assert run.data.metrics["accuracy/synthetic"] == 0.2
    assert run.data.params["classifier.network"] == "efficientnet-b0"
    assert run.data.params["synthesis.images_per_class"] == "1000"


def test_arm_without_a_run_of_these_settings_says_so(root):
    evaluate(root, 40, 0.5)
    change(root, epochs=1)
    evaluate(root, 60, 0.2)
    sync_all(root)
    found = comparison.collect(root)
    lines = comparison.to_text(found).splitlines()
    assert lines[1].endswith("no run with these settings, only with others")
    assert "20.00 [" in lines[2]
    assert found.rows[0]["source"] is None
    comparison.plot(found, root / "plot.png", "digits")

    change(root, epochs=2)
    with pytest.raises(InputError, match="no results of digits .* with the settings of params.yaml"):
        comparison.collect(root)


def test_what_dvc_lock_names_is_preferred_to_a_newer_run(root):
    """The same settings with other code, and then the older commit again, whose results DVC restores."""
    change(root, percents=[40])
    md5 = evaluate(root, 40, 0.5)
    evaluate(root, 40, 0.4)
    sync_all(root)
    assert synthetic(comparison.collect(root)) == {40: 0.4}
    settings = yaml.safe_load((root / "params.yaml").read_text())
    trained = {"training": settings["training"], "percents": [1]}
    lock = {
        "train_generators@dcgan-40-0": {
            "params": {"params.yaml": trained},
            "outs": [{"path": "generator", "md5": "0"}],
        },
        "evaluate@dcgan-40-0": {
            "deps": [{"path": "generator", "md5": "0"}],
            "outs": [{"path": "data/metrics/dcgan-40-0.json", "md5": md5}],
        },
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    assert synthetic(comparison.collect(root)) == {40: 0.5}
    # A setting that changes no result, so that evaluate does not run again.
    trained["training"]["preview_images"] = 3  # which is the same object in `settings`
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    assert synthetic(comparison.collect(root)) == {40: 0.5}
    # dvc.lock is not of the settings in force.
    change(root, epochs=1)
    with pytest.raises(InputError, match="with the settings of params.yaml"):
        comparison.collect(root)


def test_requested_runs_are_shown_and_a_mixture_is_labelled(root, monkeypatch):
    with pipeline_run(root, monkeypatch):
        evaluate(root, 40, 0.5)
        evaluate(root, 80, 0.8)
    change(root, epochs=1)
    with pipeline_run(root, monkeypatch):
        evaluate(root, 40, 0.2)
    first, second = pipelines(root)
    assert synthetic(comparison.collect(root, runs=[first])) == {40: 0.5, 80: 0.8}
    assert {row["dataset"] for row in earlier.results(root, first)} == {"digits"}
    found = comparison.collect(root, runs=[first, second])
    lines = comparison.to_text(found).splitlines()
    assert "settings" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["dcgan"] * 3
    assert lines[-1] == "runs of different settings: training.epochs (1 | 10)"
    comparison.plot(found, root / "plot.png", "digits")
    # The name of both; no run at all.
    with pytest.raises(InputError, match=f"run pipeline: several .*{second}, {first}"):
        comparison.collect(root, runs=["pipeline"])
    with pytest.raises(InputError, match="run other: MLflow has no run with this id or name"):
        comparison.collect(root, runs=["other"])


def test_other_data_set_shows_its_latest_pipeline_run(root, monkeypatch):
    with pipeline_run(root, monkeypatch):
        evaluate(root, 40, 0.5)
    change(root, percents=[40])
    settings = yaml.safe_load((root / "params.yaml").read_text())
    settings["dataset"]["name"] = "mnist"
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(InputError, match="no results of mnist"):
        comparison.collect(root)
    found = comparison.collect(root, "digits")
    assert synthetic(found) == {40: 0.5}
    assert found.notes == [f"run {pipelines(root)[0]}, the latest of this data set"]
