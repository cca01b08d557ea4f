"""The flow: DVC's stages as Prefect's tasks, on stages that take a moment and a real Prefect server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psutil
import pytest

from pipeline.failures import UNREACHABLE
from tests.system.flow.flow_run_result import logs_of, running_flow_runs
from tests.system.servers import assert_no_other_page_gets_in, until
from tests.system.tiny_project import TinyProject, is_alive

ALL = ["prepare", "train@40", "train@60", "evaluate@40", "evaluate@60", "report"]


class TestStates:
    def test_ran_unchanged_restored(self, tiny, run):
        first = run()
        assert first.run.state.is_completed()
        assert first.names == dict.fromkeys(ALL, "Ran")
        assert tiny.ran() == ["prepare", "train-40", "train-60", "evaluate-40", "evaluate-60", "report"]
        assert first.needs("train@40") == {"prepare"}
        assert first.needs("report") == {"evaluate@40", "evaluate@60"}
        assert run().names == dict.fromkeys(ALL, "Unchanged")

        # Another input trains one percent again; taking it back restores its results without training.
        (tiny.root / "data/in/60").write_text("other")
        assert run(targets=["train@60"]).names == {"prepare": "Unchanged", "train@60": "Ran"}
        (tiny.root / "data/in/60").write_text("60")
        before = tiny.ran()
        restored = run(targets=["train@60"])
        assert restored.names == {"prepare": "Unchanged", "train@60": "Restored"}
        assert tiny.ran() == before
        assert "restored from DVC's cache" in restored.tasks["train@60"].state.message

        assert run(force=True, targets=["prepare"]).names == {"prepare": "Ran"}

    def test_dry_run_changes_nothing(self, tiny, run):
        before = (tiny.root / "params.yaml").read_bytes()
        result = run(dry=True, percents=[60, 80])
        assert result.names["train@80"] == "WouldRun"
        assert result.tasks["train@80"].state.message == "it has no results yet"
        assert "train@40" not in result.names
        assert not tiny.log()
        assert (tiny.root / "params.yaml").read_bytes() == before
        assert not (tiny.root / "dvc.lock").exists()

    def test_dry_run_without_a_server(self, tiny):
        tiny.set_behaviour("prepare", "fail")
        assert tiny.labelmint("run", "prepare").returncode == 1
        done = tiny.labelmint("run", "--dry-run", "--percents", "60", "train", PREFECT_API_URL="")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split(maxsplit=3) for line in done.stdout.splitlines()] == [
            ["prepare", "would", "run", "it has no results yet"],
            ["train@60", "would", "run", "it has no results yet"],
            ["2", "would", "run"],
        ]


def test_new_stage_in_dvc_yaml_is_new_task(tiny, run):
    run(targets=["evaluate@40"])
    assert tiny.ran() == ["prepare", "train-40", "evaluate-40"]
    text = (tiny.root / "dvc.yaml").read_text()
    stage = (
        "  polish:\n    cmd: python work.py polish\n    deps: [data/evaluate-40]\n    outs: [data/polish]\n"
    )
    (tiny.root / "dvc.yaml").write_text(text + stage)
    result = run(targets=["polish"])
    unchanged = dict.fromkeys(["prepare", "train@40", "evaluate@40"], "Unchanged")
    assert result.names == {**unchanged, "polish": "Ran"}
    assert result.needs("polish") == {"evaluate@40"}


class TestFailures:
    def test_other_percents_continue(self, tiny, run):
        tiny.set_behaviour("train-40", "fail")
        result = run()
        assert result.run.state.is_failed()
        assert "train@40: train-40: this cannot work" in result.run.state.message
        assert result.names == {
            "prepare": "Ran",
            "train@40": "Failed",
            "evaluate@40": "Skipped",
            "train@60": "Ran",
            "evaluate@60": "Ran",
            "report": "Skipped",
        }
        assert result.tasks["train@40"].run_count == 1, "a deterministic error is not retried"
        assert result.tasks["evaluate@40"].state.message == "train@40 did not succeed"

    def test_rest_is_skipped_without_keep_going(self, tiny, run):
        tiny.set_behaviour("train-40", "fail")
        result = run(keep_going=False)
        assert result.names["train@60"] == result.names["report"] == "Skipped"
        assert tiny.ran() == ["prepare", "train-40"]

    def test_transient_failure_is_retried(self, tiny, run):
        tiny.set_behaviour("train-40", "busy")  # cannot reach a service, once
        result = run(targets=["train@40"])
        assert result.names["train@40"] == "Ran"
        assert result.tasks["train@40"].run_count == 2
        assert tiny.ran() == ["prepare", "train-40", "train-40"]

    def test_second_run_in_the_same_folder_is_refused(self, tiny, run):
        from pipeline.dvc.workspace_lock import locked_workspace

        with locked_workspace(tiny.root):
            result = run()
        assert result.run.state.is_failed()
        assert "another run is in progress" in result.run.state.message
        assert not tiny.log()


def test_output_reaches_the_server_while_the_stage_runs(tiny, run, prefect):
    def arrived() -> bool:
        running = [each.id for each in running_flow_runs(prefect)]
        messages = {record.message for record in logs_of(prefect, running)} if running else set()
        return {"working on prepare", "a note of prepare"} <= messages  # of both streams

    with tiny.waiting_until("prepare", arrived):
        result = run(targets=["prepare"])
    assert not any("Updating lock file" in record.message for record in result.logs)


def test_experiment_and_percents_of_a_run(tiny, run):
    one_setting = {"settings": "dataset.test_percent=30"}
    result = run(experiment="mnist_quick", percents=[60], targets=["train"], **one_setting)
    assert result.run.name == "mnist_quick"
    assert set(result.names) == {"prepare", "train@60"}
    text = (tiny.root / "params.yaml").read_text()
    assert "name: mnist " in text
    assert "percents: [60]" not in text, "percents are of this run"
    assert "test_percent: 30" not in text, "so are single settings"
    wrong = run(targets=["train"], settings="training.epoch=3").run.state
    assert wrong.is_failed() and "did you mean 'epochs'?" in wrong.message
    refused = run(percents=[0], targets=["train"])
    assert refused.run.state.is_failed()
    assert "percents[0] must be 1 to 100, got 0" in refused.run.state.message
    assert (tiny.root / "params.yaml").read_text() == text
    (tiny.root / "params.yaml").write_text(text.replace("epochs: 9", "epochs: 8"))
    assert run(targets=["prepare"]).run.name == "mnist_quick (edited)"


class TestWithoutServer:
    """A run starts a server and ends it; a killed run takes its server along. Records stay in the project."""

    @pytest.fixture
    def project(self, tmp_path, ui):
        project = TinyProject(tmp_path / "tiny")
        _copy_tables(ui.root / ".servers/prefect/prefect.db", project.root / ".servers/prefect/prefect.db")
        yield project
        project.kill()

    def test_finished_run(self, project):
        done = project.labelmint("run", "train@40", LABELMINT_TRACKING="off")
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.splitlines()[-1] == "2 ran"
        with sqlite3.connect(project.root / ".servers/prefect/prefect.db") as database:
            assert {name for (name,) in database.execute("select name from task_run")} >= {
                "prepare",
                "train@40",
            }
        assert not _temporary_servers(project.root)
        assert "View at" not in done.stderr, "there is no UI"

    def test_killed_run(self, project):
        project.set_behaviour("train-60", "slow")
        process = project.start("run", "train@60", LABELMINT_TRACKING="off")
        until(lambda: project.pids("train-60"))
        (server,) = _temporary_servers(project.root)
        assert_no_other_page_gets_in(f"http://127.0.0.1:{server.cmdline()[-1]}")
        process.kill()
        process.communicate()
        until(lambda: not _temporary_servers(project.root), 120)
        until(lambda: not any(is_alive(pid) for pid in project.pids("train-60")), 120)


def _temporary_servers(root: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline", "cwd"])
        if "pipeline.flow.temporary_server" in (each.info["cmdline"] or []) and each.info["cwd"] == str(root)
    ]


def _copy_tables(source: Path, target: Path) -> None:
    """Copy Prefect's database, since creating its tables takes long."""
    target.parent.mkdir(parents=True)
    with sqlite3.connect(source) as original, sqlite3.connect(target) as copy:
        original.backup(copy)
        copy.execute("delete from task_run")


def test_unreachable_server_is_named_at_once(tmp_path):
    done = TinyProject(tmp_path / "tiny").labelmint("run", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == UNREACHABLE
    assert done.stderr.count("\n") == 1
    assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--experiment", "mnst"], "no experiment 'mnst'"),
        (["run", "--percents", "all"], "expected whole numbers"),
        (["serve", "--cron", "0 2 * * *"], "no Prefect server: start one with `make ui`"),
    ],
)
def test_user_errors_end_with_2_and_one_line(tmp_path, arguments, message):
    done = TinyProject(tmp_path / "tiny").labelmint(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
