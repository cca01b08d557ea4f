"""The whole DAG on few real digits in a copy of the project, as `make repro` runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.system.browser import browser
from tests.system.clone import Clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def first(clone: Clone) -> list[str]:
    """Stages of the first run."""
    return clone.repro()


@pytest.fixture(autouse=True)
def after_the_first_run(first) -> None:
    """All tests here start from its results."""


def test_one_command_goes_from_digits_to_a_report(clone, first):
    assert [name.split("@")[0] for name in first] == [
        *("prepare", "train_feature_network", "train_generators", "synthesize"),
        *("train_baselines", "train_classifiers", "evaluate", "report"),
    ]
    assert [(row["percent"], row["source"]) for row in clone.results()] == [
        ("100", "real"),
        ("100", "synthetic"),
        ("100", "mixed"),
    ]
    assert (clone.folder / "reports" / "index.html").stat().st_size > 50_000


def test_every_stage_is_a_run_in_mlflow(clone, first):
    from mlflow.tracking import MlflowClient

    assert clone.run("labelmint", "sync").returncode == 0
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert {run.data.tags["stage"] for run in runs} >= {name.split("@")[0] for name in first}
    assert {run.info.status for run in runs} == {"FINISHED"}
    evaluated = next(run for run in runs if run.data.tags["stage"] == "evaluate")
    assert evaluated.data.params["percent"] == "100" and evaluated.data.metrics["percent"] == 100
    row = clone.results()[1]
    assert evaluated.data.metrics["accuracy/synthetic"] == pytest.approx(float(row["accuracy"]), abs=1e-6)
    assert {artifact.path for artifact in client.list_artifacts(evaluated.info.run_id)} == {
        "dcgan-100-0.json"
    }


def test_nothing_runs_again_when_nothing_changed(clone):
    assert clone.repro() == []


def stale(clone) -> set[str]:
    """Stages that `dvc status` would run again."""
    done = clone.run("dvc", "status", "--json")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


class TestCodeChanges:
    """Which arms an edit makes stale."""

    @pytest.fixture
    def edit(self, clone):
        """Append a comment to a file; undone after the test."""
        before = {}

        def append(name: str) -> None:
            path = clone.folder / name
            before[path] = path.read_text()
            path.write_text(before[path] + "# edited\n")

        yield append
        for path, text in before.items():
            path.write_text(text)
        assert stale(clone) == set()

    def test_runtime_pipeline_and_reporting_make_no_arm_stale(self, clone, edit):
        for name in ("labelmint/runtime/progress.py", "labelmint/runtime/devices.py", "pipeline/stage.py"):
            edit(name)
        assert stale(clone) == set()
        edit("labelmint/reporting/page.py")
        assert stale(clone) == {"report"}

    def test_another_family_makes_no_arm_stale(self, clone, edit):
        edit("labelmint/families/wgan.py")
        assert stale(clone) == set()
        edit("labelmint/families/dcgan.py")
        assert {"train_generators@dcgan-100-0", "synthesize@dcgan-100-0"} <= stale(clone)

    def test_a_metric_trains_nothing(self, clone, edit):
        edit("labelmint/metrics/frechet.py")
        assert not [name for name in stale(clone) if name.startswith(("train", "synthesize", "prepare"))]


def test_the_same_seed_gives_the_same_bytes(clone):
    """Everything is forced to run again, with another number of workers."""
    before = clone.results()
    generator = (clone.folder / "data/generators/dcgan-100-0/generator.safetensors").read_bytes()
    clone.change(compute={"workers": 1})
    assert clone.repro() == []  # no result depends on how it is run
    assert len(clone.repro("--force", "--no-run-cache")) == 8
    clone.change(compute={"workers": "auto"})
    assert (clone.folder / "data/generators/dcgan-100-0/generator.safetensors").read_bytes() == generator
    assert [{**row, "seconds": ""} for row in clone.results()] == [{**row, "seconds": ""} for row in before]


def test_a_new_percent_trains_its_own_arm_only(clone):
    clone.change(percents=[50, 100])
    ran = clone.repro()
    assert sorted(ran) == sorted(
        [
            "prepare",
            "train_generators@dcgan-50-0",
            "synthesize@dcgan-50-0",
            "train_baselines@50-0",
            "train_classifiers@dcgan-50-0",
            "evaluate@dcgan-50-0",
            "report",
        ]
    )
    assert [row["percent"] for row in clone.results()] == ["50"] * 3 + ["100"] * 3
    clone.change(percents=[100])
    assert not [name for name in clone.repro() if name.startswith("train")]


def test_dvc_understands_metrics_and_plots(clone):
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)
    (summary,) = shown[""]["data"].values()
    assert set(summary["data"]) == {"dcgan-100", "warnings"}
    assert len(summary["data"]["dcgan-100"]) == 4
    assert 0 <= summary["data"]["dcgan-100"]["accuracy_synthetic"] <= 1
    subprocess.run(["git", "add", "-A"], cwd=clone.folder, check=True)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "results"],
        cwd=clone.folder,
        check=True,
    )
    clone.change(training={"epochs": 3})
    assert "train_generators@dcgan-100-0" in clone.repro()
    changed = json.loads(clone.run("dvc", "metrics", "diff", "--json").stdout)
    assert any("frechet_synthetic" in name for name in changed["reports/summary.json"])
    difference = clone.run("dvc", "plots", "diff", "HEAD", "--out", "difference")
    assert difference.returncode == 0, difference.stderr
    page = (clone.folder / "difference" / "index.html").read_text()
    assert "results.csv" in page and '"workspace"' in page and '"HEAD"' in page
    plots = clone.run("dvc", "plots", "show", "--out", "plots")
    assert plots.returncode == 0, plots.stderr
    page = (clone.folder / "plots" / "index.html").read_text()
    assert "results.csv" in page and "training.csv" in page
    clone.change(training={"epochs": 2})
    assert not [name for name in clone.repro() if name.startswith("train")], (
        "the run cache restores the earlier result"
    )


def test_pages_of_plots_are_drawn_offline(clone):
    """With the script that `make env` writes."""
    clone.repro()
    (clone.folder / ".venv").mkdir()
    written = clone.run(sys.executable, "-m", "pipeline.dvc.vega", ".venv/vega.js")
    assert written.returncode == 0, written.stderr
    assert clone.run("dvc", "plots", "show").returncode == 0
    with browser(offline=True) as page:
        address = f"file://{clone.folder}/dvc_plots/index.html"
        page.open(address, "reports/results.csv", "accuracy", "synthetic", "mixed", "g_loss")
        lines = "return document.querySelectorAll('svg .mark-line path').length"
        assert page.chrome.execute_script(lines) >= 3 + 10  # sources, and classes of one training


def test_two_runs_at_once_do_not_share_settings(tmp_path):
    """The second would rewrite params.yaml, which the first one's later stages read."""
    clone = Clone(tmp_path / "clone")
    for name, seed in (("one", 1), ("two", 2)):
        (clone.folder / "experiments" / f"{name}.yaml").write_text(f"# {name}.\nseeds: [{seed}]\n")
    repro = ("make", "-o", ".venv/.ready", "repro", "TARGET=prepare")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(clone.run, *repro, "EXPERIMENT=one")
        lock = clone.folder / ".dvc" / "tmp" / "labelmint.lock"
        while not first.done() and not lock.exists():
            time.sleep(0.05)
        time.sleep(0.2)
        for command in ((*repro, "EXPERIMENT=two"), ("labelmint", "use", "two")):
            second = clone.run(*command)
            assert not first.done() and second.returncode == 2
            assert (
                second.stderr.startswith("error: another run is in progress in ")
                and "Traceback" not in second.stderr
            )
    # The first continues, under the lock that its parts share. It prints no results: `prepare` makes none.
    ended = first.result()
    assert ended.returncode == 0 and "Running stage 'prepare'" in ended.stdout, ended.stderr
    assert "results.md" not in ended.stderr and "another run" not in ended.stderr
    assert (clone.folder / "params.yaml").read_text().startswith("# Experiment: one\n")
    assert clone.run("labelmint", "use", "two").returncode == 0


def test_a_typo_is_refused_before_any_stage(clone):
    clone.change(training={"epoch": 3})
    done = clone.run("labelmint", "check")
    assert done.returncode == 2 and "did you mean 'epochs'" in done.stderr
    content = YAML(typ="safe").load((clone.folder / "params.yaml").read_text())
    del content["training"]["epoch"]
    clone.change(training=content["training"])
    YAML().dump(content, clone.folder / "params.yaml")


def test_compare_shows_what_results_shows_after_an_experiment(clone):
    """A run, an experiment with one epoch and another percent, and the first settings again."""

    def compared() -> list[tuple[str, str, float]]:
        assert clone.run("labelmint", "sync").returncode == 0
        done = clone.run("labelmint", "compare", "--json")
        assert done.returncode == 0, done.stderr
        return [(str(row["percent"]), row["source"], row["accuracy"]) for row in json.loads(done.stdout)]

    def printed() -> list[tuple[str, str, Any]]:
        rows = json.loads(clone.run("labelmint", "results", "--json").stdout)
        return [
            (str(row["percent"]), row["source"], pytest.approx(row["accuracy"], abs=1e-6)) for row in rows
        ]

    clone.repro()
    first = compared()
    assert first == printed()
    clone.change(training={"epochs": 1}, percents=[50])
    before = clone.run("labelmint", "compare")
    assert before.returncode == 2
    assert "with the settings of params.yaml" in before.stderr
    clone.repro()
    assert compared() == printed() != first
    clone.change(training={"epochs": 2}, percents=[100])
    assert not [name for name in clone.repro() if name.startswith(("train", "evaluate"))]
    assert compared() == printed() == first
