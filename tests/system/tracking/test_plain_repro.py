"""MLflow after `make repro` and `dvc repro`, without Prefect: what its client and a browser see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.tracking.address import page as address_of
from tests.system.browser import browser
from tests.system.clone import Clone
from tests.system.servers import UiServers, until

PERCENTS = [40, 70, 100]
STAGES = 3 + 5 * len(PERCENTS)


class Tracked:
    """A small run by the command of `make repro`, and MLflow's client for its records.

    ran: stages that ran, some of them beside others in a second process of DVC.
    """

    def __init__(self, clone: Clone):
        from mlflow.tracking import MlflowClient

        self.clone = clone
        clone.change(
            percents=PERCENTS,
            dataset={"images_per_class": 30},
            classifier={"network": "small_cnn", "steps": 40},
            synthesis={"images_per_class": 30},
        )
        done = clone.run("python", "-m", "pipeline.reproduction")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        self.ran = re.findall("^Running stage '(.+)'", done.stdout + done.stderr, re.MULTILINE)
        self.client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
        self.sync()
        experiment = self.client.get_experiment_by_name("labelmint-digits")
        assert experiment is not None
        self.experiment = experiment.experiment_id

    def sync(self) -> None:
        done = self.clone.run("labelmint", "sync")
        assert done.returncode == 0, done.stderr

    def parents(self):
        """Pipeline runs, oldest first."""
        return self.client.search_runs(
            [self.experiment], "tags.stage = 'pipeline'", order_by=["attributes.start_time ASC"]
        )

    def children(self, parent):
        """{name: run} of the stages of a pipeline run."""
        query = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
        return {run.info.run_name: run for run in self.client.search_runs([self.experiment], query)}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Tracked:
    return Tracked(Clone(tmp_path_factory.mktemp("clone")))


def test_all_stages_have_one_parent_with_settings_and_results(tracked):
    (parent,) = tracked.parents()
    assert parent.info.run_name == "pipeline"
    assert parent.info.status == "FINISHED"
    children = tracked.children(parent)
    assert len(children) == len(tracked.ran) == STAGES
    assert parent.data.params["training.epochs"] == "2"
    assert parent.data.params["families.dcgan.latent_size"] == "64"
    assert parent.data.metrics["stages/ran"] == STAGES
    (data,) = parent.inputs.dataset_inputs
    assert data.dataset.name == "digits"
    orphans = [
        run
        for run in tracked.client.search_runs([tracked.experiment])
        if "mlflow.parentRunId" not in run.data.tags
    ]
    assert [run.info.run_id for run in orphans] == [parent.info.run_id]
    for source in ("real", "synthetic", "mixed"):
        history = tracked.client.get_metric_history(parent.info.run_id, f"accuracy/dcgan/{source}")
        expected = [
            (int(row["percent"]), pytest.approx(float(row["accuracy"])))
            for row in tracked.clone.results()
            if row["source"] == source
        ]
        assert [(point.step, point.value) for point in history] == expected


def test_one_chart_has_all_sources(tracked, tmp_path):
    from PIL import Image

    (parent,) = tracked.parents()
    files = {each.path for each in tracked.client.list_artifacts(parent.info.run_id)}
    assert "accuracy_by_percent.html" in files
    page = tracked.client.download_artifacts(parent.info.run_id, "accuracy_by_percent.html", str(tmp_path))
    text = Path(page).read_text(encoding="utf-8")
    for source in ("real", "synthetic", "mixed"):
        assert text.count(f'data-source="{source}"') >= 1, source
    assert "http://" not in text.replace("http://www.w3.org", "")
    images = [each.path for each in tracked.client.list_artifacts(parent.info.run_id, "images")]
    (png,) = [name for name in images if name.endswith(".png")]
    assert Image.open(tracked.client.download_artifacts(parent.info.run_id, png, str(tmp_path))).width > 500


def test_best_classifier_is_in_the_projects_own_experiment(tracked):
    version = tracked.client.get_model_version_by_alias("labelmint-digits", "best")
    rows = [row for row in tracked.clone.results() if row["source"] in ("real", "synthetic", "mixed")]
    best = max(rows, key=lambda row: (float(row["accuracy_low"]), -int(row["n_real"])))
    assert (version.tags["source"], version.tags["percent"]) == (best["source"], best["percent"])
    (parent,) = tracked.parents()
    assert version.run_id == parent.info.run_id
    (logged,) = tracked.client.search_logged_models([tracked.experiment])
    assert logged.name == "classifier"
    assert logged.source_run_id == parent.info.run_id
    assert logged.artifact_location.startswith((tracked.clone.folder / "mlartifacts").as_uri())
    assert not tracked.client.search_logged_models(["0"])
    assert not (tracked.clone.folder / "mlruns").exists()


class TestBrowser:
    """MLflow's pages, as `labelmint ui` serves them."""

    @pytest.fixture(scope="class")
    def servers(self, tracked):
        started = UiServers(tracked.clone.folder)
        yield started
        started.stop()

    @pytest.fixture(scope="class")
    def page(self, servers):
        with browser() as page:
            page.open(servers.mlflow, "Experiments")
            page.set_local_storage("assistant.panelOpen", "false")
            yield page

    def test_printed_address_opens_the_table_of_runs(self, servers, page):
        address = servers.lines[1].split()[1]
        assert address.startswith(f"{servers.mlflow}/#/experiments/")
        page.open(address, "pipeline", "Run Name", "matching runs")
        assert "Observability" not in page.text()  # a heading of the GenAI pages
        page.save("mlflow-runs-plain")

    def test_parent_charts_all_sources_by_percent(self, tracked, servers, page):
        from selenium.webdriver.common.by import By

        (parent,) = tracked.parents()
        address, _, query = address_of(servers.mlflow, tracked.experiment, parent.info.run_id).partition("?")
        metrics = [f"accuracy/dcgan/{source}" for source in ("real", "synthetic", "mixed")]
        page.open(f"{address}/model-metrics?{query}", *metrics)
        page.scroll_to_end()
        page.see("accuracy by percent")
        page.open(f"{address}/artifacts?{query}", "accuracy_by_percent.html")
        page.click("accuracy_by_percent.html")
        until(lambda: page.chrome.find_elements(By.TAG_NAME, "iframe"))
        page.chrome.switch_to.frame(0)
        page.see("accuracy on real test images", "synthetic images only", "real + synthetic images")
        page.chrome.switch_to.default_content()
        page.replace_text(str(tracked.clone.folder), "…/labelmint")
        assert page.save("mlflow-fractions").stat().st_size < 300_000


def test_later_run_names_what_it_reused(tracked):
    """After the tests above, which expect one pipeline run."""
    assert tracked.clone.repro() == []
    tracked.sync()
    (first,) = tracked.parents()
    tracked.clone.change(classifier={"steps": 41})
    ran = tracked.clone.repro()
    tracked.sync()
    _, second = tracked.parents()
    assert set(tracked.children(second)) == {
        name.replace("train_baselines@", "train_baselines@real-") for name in ran
    }
    before = tracked.children(first)
    reused = {
        name.removeprefix("reused.").replace("/", "@"): value
        for name, value in second.data.tags.items()
        if name.startswith("reused.")
    }
    assert reused["train_generators@dcgan-40-0"] == before["train_generators@dcgan-40-0"].info.run_id
    assert len(reused) == STAGES - len(ran)
    assert second.data.metrics["stages/reused"] == len(reused)
    assert json.loads(second.data.tags["params.classifier"])["steps"] == 41


def test_failed_stage_is_the_status_of_the_run(tracked):
    tracked.clone.change(classifier={"network": "efficientnet-b0", "weights": "absent.pt"})
    assert tracked.clone.run("dvc", "repro").returncode != 0
    tracked.sync()
    assert tracked.parents()[-1].info.status == "FAILED"
