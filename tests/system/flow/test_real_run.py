"""A small real run as a flow: its records in Prefect and MLflow, `labelmint compare`, and both UIs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.system.browser import browser
from tests.system.real_run import EXPERIMENT, PERCENTS, STAGES
from tests.system.servers import clean_environment, until


def test_prefect_has_a_task_for_each_stage_and_the_results(real):
    run = real.flow_run
    assert run["name"] == "default (edited)"  # the project's sizes were changed by hand
    assert run["parameters"]["workers"] == 2
    this_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = real.prefect("task_runs/filter", **this_run)
    assert run["state"]["message"] == f"{STAGES} ran"
    assert {task["state"]["name"] for task in tasks} == {"Ran"}
    stages = real.clone.run("dvc", "stage", "list", "--name-only").stdout.split()
    assert len(stages) == STAGES
    assert sorted(task["name"] for task in tasks) == sorted(stages)

    artifacts = {each["key"]: each for each in real.prefect("artifacts/filter", **this_run)}
    assert artifacts["progress"]["data"] == 100.0
    assert artifacts["report-digits"]["data"] == (real.folder / "reports/results.md").read_text()
    table = json.loads(artifacts["results-digits"]["data"])
    assert [row["accuracy"] for row in table] == [float(row["accuracy"]) for row in real.results]
    assert f"({real.ui.mlflow}/#/experiments/" in artifacts["mlflow"]["data"]
    assert "train_generators@dcgan-50-0" in artifacts["mlflow-stages"]["data"]


def test_mlflow_has_parent_children_and_grandchildren(real):
    client, runs = real.runs()
    (parent,) = [run for run in runs if run.info.run_name == "pipeline"]
    children = children_of(parent, runs)
    assert len(children) == STAGES
    assert {run.info.status for run in runs} == {"FINISHED"}
    trained = children["train_generators@dcgan-50-0"]
    classes = children_of(trained, runs)
    assert set(classes) == {f"class {digit}" for digit in range(10)}
    assert len(client.get_metric_history(classes["class 0"].info.run_id, "g_loss")) == 2  # epochs

    address = f"{real.ui.mlflow}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}?"
    assert f'<a href="{address}' in (real.folder / "reports/index.html").read_text()

    # Params as such and as tags, the commit, the lock and the data.
    assert parent.data.params["training.epochs"] == "2"
    assert parent.data.metrics["stages/ran"] == STAGES
    assert json.loads(parent.data.tags["params.percents"]) == PERCENTS
    assert json.loads(parent.data.tags["params.families"])["dcgan"]["latent_size"] == 64
    assert len(parent.data.tags["dvc.lock"]) == 64
    assert parent.data.tags["prefect.flow_run"]
    for run in (parent, trained):
        (data,) = run.inputs.dataset_inputs
        assert data.dataset.name == "digits"
        assert len(data.dataset.digest) == 36
    assert children["evaluate@dcgan-50-0"].data.metrics["percent"] == 50
    assert (
        "system/cpu_utilization_percentage" in children["synthesize@dcgan-50-0"].data.metrics
    )  # a short stage

    names = {each.path for each in client.list_artifacts(trained.info.run_id)}
    assert {"generator.safetensors", "progress.gif", "training.csv", "images"} <= names
    steps = {each.path.split("+")[2] for each in client.list_artifacts(trained.info.run_id, "images")}
    assert steps == {"1", "2"}  # a grid of samples per epoch, for the slider
    history = client.get_metric_history(parent.info.run_id, "accuracy/dcgan/synthetic")
    assert [point.step for point in history] == PERCENTS


def children_of(parent, runs):
    """{name: run} of the child runs."""
    return {
        run.info.run_name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }


def test_best_classifier_is_registered_and_can_be_used(real):
    import mlflow
    import numpy as np

    client, _ = real.runs()
    version = client.get_model_version_by_alias(EXPERIMENT, "best")
    best = max(real.results, key=lambda row: (float(row["accuracy_low"]), -int(row["n_real"])))
    assert float(version.tags["accuracy"]) == pytest.approx(float(best["accuracy"]), abs=1e-6)
    assert version.tags["source"] == best["source"]
    assert version.tags["percent"] == best["percent"]
    mlflow.set_tracking_uri(real.ui.mlflow)
    model = mlflow.pyfunc.load_model(f"models:/{EXPERIMENT}@best")
    (column,) = model.metadata.signature.inputs.inputs
    assert column.shape == (-1, 1, 16, 16)

    # Loaded from the registry, it has the accuracy on the real test images that the stage has measured.
    images = np.load(real.folder / "data/tensors/test/images.npy").astype(np.float32) / 127.5 - 1
    labels = np.load(real.folder / "data/tensors/test/labels.npy")
    assert (model.predict(images).argmax(1) == labels).mean() == pytest.approx(
        float(best["accuracy"]), abs=1e-6
    )


def test_second_run_names_what_it_reused(real):
    done = real.labelmint("run")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"{STAGES} unchanged"
    real.ship_everything()
    client, runs = real.runs()
    first, second = [run for run in runs if run.info.run_name == "pipeline"]
    children = children_of(first, runs)
    reused = {
        name.removeprefix("reused.").replace("/", "@"): value
        for name, value in second.data.tags.items()
        if name.startswith("reused.")
    }
    assert len(reused) == STAGES
    assert reused["evaluate@dcgan-50-0"] == children["evaluate@dcgan-50-0"].info.run_id
    assert len(client.search_model_versions(f"name = '{EXPERIMENT}'")) == 1, (
        "the same weights are one version"
    )


class TestCompare:
    """In a folder with the settings of the run and none of its results."""

    @pytest.fixture
    def compare(self, real, tmp_path):
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copy(real.folder / name, tmp_path)

        def run(*arguments: str, uri: str = real.ui.mlflow) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "pipeline.cli.main", "compare", *arguments]
            environment = clean_environment(MLFLOW_TRACKING_URI=uri)
            return subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )

        return run

    def test_values_come_from_mlflow(self, real, compare):
        rows = json.loads(compare("--json").stdout)
        found = [(row["generator"], row["percent"], row["source"], row["accuracy"]) for row in rows]
        expected = [
            (
                row["generator"],
                int(row["percent"]),
                row["source"],
                pytest.approx(float(row["accuracy"]), abs=1e-6),
            )
            for row in real.results
        ]
        assert found == expected
        assert len(rows) == 3 * len(PERCENTS)

    def test_table_and_plot(self, real, compare, tmp_path):
        from PIL import Image

        done = compare()
        assert f"{100 * float(real.results[0]['accuracy']):.2f} [" in done.stdout
        assert "plot: " in done.stdout
        assert Image.open(tmp_path / "compare.png").size == (770, 462)

    def test_absent_results_are_a_user_error(self, compare, tmp_path):
        done = compare(uri=f"sqlite:///{tmp_path}/empty.db")
        assert done.returncode == 2
        assert "no results of digits in MLflow" in done.stderr.splitlines()[-1]


@contextmanager
def serving(real, *arguments: str):
    """A process of `labelmint serve ARGUMENTS`."""
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", *arguments]
    environment = clean_environment(MLFLOW_TRACKING_URI=real.ui.mlflow, PYTHONPATH=str(real.folder))
    process = subprocess.Popen(
        command, cwd=real.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


class TestBrowser:
    """The pages in headless Chromium. Screenshots are kept."""

    def test_prefect_shows_the_run_with_its_stages(self, real, page):
        runs = real.prefect("flow_runs/filter", sort="START_TIME_ASC")
        run = next(each for each in runs if each["parameters"].get("workers") == 2)
        address = f"{real.ui.prefect}/runs/flow-run/{run['id']}"
        page.open(address, "Completed", f"{STAGES} Task runs", "Running stage 'prepare'")
        assert page.save("prefect-run").stat().st_size < 300_000
        page.click("Task Runs")
        page.see("report", "Ran", "evaluate@dcgan-100-0")
        page.save("prefect-stages")
        page.click("Artifacts")
        page.see("report-digits", "results-digits", "mlflow")
        page.save("prefect-artifacts")

    def test_prefect_shows_the_schedule_and_the_parameters(self, real, page):
        def nightly():
            return [each for each in real.prefect("deployments/filter") if each["name"] == "nightly"]

        with serving(real, "--cron", "0 2 * * *", "--percents", "50", "--name", "nightly"):
            (deployment,) = until(nightly, 300)
            address = f"{real.ui.prefect}/deployments/deployment/{deployment['id']}"
            page.open(address, "nightly", "At 02:00 AM")
            assert page.save("prefect-schedule").stat().st_size < 300_000
            parameters = {
                "experiment",
                "targets",
                "percents",
                "settings",
                "force",
                "keep_going",
                "workers",
                "dry",
            }
            assert set(deployment["parameter_openapi_schema"]["properties"]) == parameters
            page.open(f"{address}/run", "keep_going", "workers")
            page.save("prefect-parameters")

    def test_mlflow_charts_accuracy_against_percent(self, real, mlflow_page):
        _, runs = real.runs()
        parent = next(run for run in runs if run.info.run_name == "pipeline")
        address = f"{run_address(real, parent)}/model-metrics"
        mlflow_page.open(address, "accuracy/dcgan/synthetic", "accuracy/dcgan/real")
        assert mlflow_page.save("mlflow-metrics").stat().st_size < 300_000

    def test_mlflow_lists_the_runs(self, real, mlflow_page):
        _, runs = real.runs()
        address = f"{real.ui.mlflow}/#/experiments/{runs[0].info.experiment_id}/runs"
        mlflow_page.open(address, "pipeline", "labelmint-digits")
        mlflow_page.save("mlflow-runs")

    def test_mlflow_has_the_grids_and_the_gif(self, real, mlflow_page):
        _, runs = real.runs()
        run = next(run for run in runs if run.info.run_name == "train_generators@dcgan-50-0")
        mlflow_page.open(f"{run_address(real, run)}/artifacts", "progress.gif", "images")
        mlflow_page.open(f"{run_address(real, run)}/model-metrics", "samples")  # the slider over epochs
        mlflow_page.save("mlflow-grids")


def run_address(real, run) -> str:
    return f"{real.ui.mlflow}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def mlflow_page(real, page):
    """A page without the assistant that MLflow opens at first."""
    page.open(real.ui.mlflow, "Experiments")
    page.set_local_storage("assistant.panelOpen", "false")
    return page
