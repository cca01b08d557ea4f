"""A real small run as a flow: what Prefect, MLflow, `labelmint compare` and a person at the pages see of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.system.browser import browser
from tests.system.real_run import EXPERIMENT, PERCENTS, STAGES
from tests.system.servers import surroundings, until

pytestmark = pytest.mark.slow


def test_prefect_has_a_task_for_each_stage_and_the_results(real):
    (run,) = [
        each
        for each in real.prefect("flow_runs/filter")
        if each["name"] == "default" and each["parameters"]["workers"] == 2
    ]
    only = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = real.prefect("task_runs/filter", **only)
    assert run["state"]["message"] == f"{STAGES} ran" and {task["state"]["name"] for task in tasks} == {"Ran"}
    listed = real.clone.run("dvc", "stage", "list", "--name-only").stdout.split()
    assert sorted(task["name"] for task in tasks) == sorted(listed) and len(listed) == STAGES

    artifacts = {each["key"]: each for each in real.prefect("artifacts/filter", **only)}
    assert artifacts["progress"]["data"] == 100.0
    assert artifacts["report-digits"]["data"] == (real.folder / "reports/results.md").read_text()
    table = json.loads(artifacts["results-digits"]["data"])
    assert [row["accuracy"] for row in table] == [row["accuracy"] for row in real.results]
    assert f"({real.pages.mlflow}/#/experiments/" in artifacts["mlflow"]["data"]
    assert "train_generators@dcgan-50-0" in artifacts["mlflow-stages"]["data"]


def test_mlflow_has_parent_children_and_grandchildren(real):
    client, runs = real.runs()
    (parent,) = [run for run in runs if run.info.run_name == "pipeline"]
    children = {run.info.run_name: run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert len(children) == STAGES and {run.info.status for run in runs} == {"FINISHED"}
    trained = children["train_generators@dcgan-50-0"]
    classes = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == trained.info.run_id]
    assert {run.info.run_name for run in classes} == {f"class {digit}" for digit in range(10)}
    assert len(client.get_metric_history(classes[0].info.run_id, "g_loss")) == 2  # epochs

    # Params as such and as tags, the commit, the lock and the data.
    assert parent.data.params["training.epochs"] == "2" and parent.data.metrics["stages/ran"] == STAGES
    assert json.loads(parent.data.tags["params.percents"]) == PERCENTS
    assert json.loads(parent.data.tags["params.families"])["dcgan"]["latent_size"] == 64
    assert len(parent.data.tags["dvc.lock"]) == 64 and parent.data.tags["prefect.flow_run"]
    for run in (parent, trained):
        (data,) = run.inputs.dataset_inputs
        assert data.dataset.name == "digits" and len(data.dataset.digest) == 36
    evaluated = children["evaluate@dcgan-50-0"]
    assert evaluated.data.metrics["percent"] == 50
    assert "system/cpu_utilization_percentage" in children["synthesize@dcgan-50-0"].data.metrics  # a short stage

    names = {each.path for each in client.list_artifacts(trained.info.run_id)}
    assert {"generator.safetensors", "progress.gif", "training.csv", "images"} <= names
    grids = {each.path.split("+")[2] for each in client.list_artifacts(trained.info.run_id, "images")}
    assert grids == {"1", "2"}  # a step an epoch, for the slider
    history = client.get_metric_history(parent.info.run_id, "accuracy/dcgan/synthetic")
    assert [point.step for point in history] == PERCENTS


def test_the_best_classifier_is_registered_and_can_be_used(real):
    import mlflow
    import numpy as np

    client, _ = real.runs()
    version = client.get_model_version_by_alias(EXPERIMENT, "best")
    best = max(real.results, key=lambda row: (float(row["accuracy_low"]), -int(row["n_real"])))
    assert float(version.tags["accuracy"]) == pytest.approx(float(best["accuracy"]), abs=1e-6)
    assert version.tags["source"] == best["source"] and version.tags["percent"] == best["percent"]
    mlflow.set_tracking_uri(real.pages.mlflow)
    model = mlflow.pyfunc.load_model(f"models:/{EXPERIMENT}@best")
    (column,) = model.metadata.signature.inputs.inputs
    assert column.shape == (-1, 1, 16, 16)

    # It answers as the stage's own measurement says: loaded from the registry, on the real test images.
    images = np.load(real.folder / "data/tensors/test/images.npy").astype(np.float32) / 127.5 - 1
    labels = np.load(real.folder / "data/tensors/test/labels.npy")
    assert (model.predict(images).argmax(1) == labels).mean() == pytest.approx(float(best["accuracy"]), abs=1e-6)


def test_a_second_run_says_what_it_reused(real):
    done = real.labelmint("run")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == f"{STAGES} unchanged", done.stderr[-2000:]
    real.all_told()
    client, runs = real.runs()
    first, second = [run for run in runs if run.info.run_name == "pipeline"]
    ids = {
        run.info.run_name: run.info.run_id
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == first.info.run_id
    }
    reused = {name.removeprefix("reused.").replace("/", "@"): value for name, value in second.data.tags.items() if name.startswith("reused.")}  # fmt: skip
    assert len(reused) == STAGES and reused["evaluate@dcgan-50-0"] == ids["evaluate@dcgan-50-0"]
    assert len(client.search_model_versions(f"name = '{EXPERIMENT}'")) == 1, "the same weights are one version"


def test_compare_needs_mlflow_alone(real, tmp_path):
    """Nothing of the run is here, but the settings that say where it was."""
    from PIL import Image

    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(real.folder / name, tmp_path)
    environment = surroundings(MLFLOW_TRACKING_URI=real.pages.mlflow)
    command = [sys.executable, "-m", "pipeline.cli.main", "compare"]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    rows = json.loads(done.stdout)
    told = [(row["generator"], row["percent"], row["source"], row["accuracy"]) for row in rows]
    wanted = [
        (row["generator"], int(row["percent"]), row["source"], pytest.approx(float(row["accuracy"]), abs=1e-6))
        for row in real.results
    ]
    assert told == wanted and len(rows) == 3 * len(PERCENTS)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    shown = "{:.2f} [".format(100 * float(real.results[0]["accuracy"]))
    assert shown in done.stdout and "plot: " in done.stdout
    assert Image.open(tmp_path / "compare.png").size == (770, 462)
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/empty.db"
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "no results of digits in MLflow" in done.stderr.splitlines()[-1]


@contextmanager
def served(real, *arguments: str):
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", *arguments]
    environment = surroundings(MLFLOW_TRACKING_URI=real.pages.mlflow, PYTHONPATH=str(real.folder))
    process = subprocess.Popen(
        command, cwd=real.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


class TestPages:
    """What a person sees in headless Chromium. Screenshots are kept."""

    def test_prefect_shows_the_run_with_its_stages(self, real, page):
        runs = real.prefect("flow_runs/filter", sort="START_TIME_ASC")
        run = next(each for each in runs if each["parameters"].get("workers") == 2)
        page.open(
            f"{real.pages.prefect}/runs/flow-run/{run['id']}",
            "Completed",
            f"{STAGES} Task runs",
            "Running stage 'prepare'",
        )
        assert page.save("prefect-run").stat().st_size < 300_000
        page.click("Task Runs")
        page.see("report", "Ran", "evaluate@dcgan-100-0")
        page.save("prefect-stages")
        page.click("Artifacts")
        page.see("report-digits", "results-digits", "mlflow")
        page.save("prefect-artifacts")

    def test_prefect_shows_the_schedule_and_the_settings(self, real, page):
        with served(real, "--cron", "0 2 * * *", "--percents", "50", "--name", "nightly"):
            (deployment,) = until(
                lambda: [each for each in real.prefect("deployments/filter") if each["name"] == "nightly"], 300
            )
            page.open(f"{real.pages.prefect}/deployments/deployment/{deployment['id']}", "nightly", "At 02:00 AM")
            assert page.save("prefect-schedule").stat().st_size < 300_000
            schema = deployment["parameter_openapi_schema"]["properties"]
            assert set(schema) == {"experiment", "targets", "percents", "force", "keep_going", "workers", "dry"}  # fmt: skip
            page.open(f"{real.pages.prefect}/deployments/deployment/{deployment['id']}/run", "keep_going", "workers")
            page.save("prefect-parameters")

    def test_mlflow_charts_accuracy_against_percent(self, real, mlflow_page):
        _, runs = real.runs()
        parent = next(run for run in runs if run.info.run_name == "pipeline")
        place = f"{real.pages.mlflow}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}/model-metrics"
        mlflow_page.open(place, "accuracy/dcgan/synthetic", "accuracy/dcgan/real")
        assert mlflow_page.save("mlflow-fractions").stat().st_size < 300_000

    def test_mlflow_lists_the_runs(self, real, mlflow_page):
        _, runs = real.runs()
        mlflow_page.open(
            f"{real.pages.mlflow}/#/experiments/{runs[0].info.experiment_id}/runs", "pipeline", "labelmint-digits"
        )
        mlflow_page.save("mlflow-runs")

    def test_mlflow_has_the_grids_and_the_gif(self, real, mlflow_page):
        _, runs = real.runs()
        run = next(run for run in runs if run.info.run_name == "train_generators@dcgan-50-0")
        place = f"{real.pages.mlflow}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        mlflow_page.open(f"{place}/artifacts", "progress.gif", "images")
        mlflow_page.open(f"{place}/model-metrics", "samples")  # the slider over epochs
        mlflow_page.save("mlflow-grids")


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def mlflow_page(real, page):
    """Without the assistant that MLflow opens at first."""
    page.open(real.pages.mlflow, "Experiments")
    page.remember("assistant.panelOpen", "false")
    return page
