"""The flow: DVC's stages as Prefect's tasks, on stages that take a moment and a real Prefect server."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from labelmint.runtime.errors import InputError
from pipeline.dvc import graph
from tests.system.tiny_project import TinyProject, alive
from tests.system.servers import check_no_other_page_gets_in, until

pytestmark = pytest.mark.slow


ALL = ["prepare", "train@40", "train@60", "evaluate@40", "evaluate@60", "report"]


class TestStates:
    def test_ran_unchanged_restored(self, tiny, run):
        first = run()
        assert first.run.state.is_completed() and first.names == dict.fromkeys(ALL, "Ran")
        assert tiny.ran() == ["prepare", "train-40", "train-60", "evaluate-40", "evaluate-60", "report"]
        assert first.needs("train@40") == {"prepare"} and first.needs("report") == {"evaluate@40", "evaluate@60"}
        assert run().names == dict.fromkeys(ALL, "Unchanged")

        # Another input trains one percent anew; taking it back brings its results back without training.
        (tiny.root / "data/in/60").write_text("other")
        assert run(targets=["train@60"]).names == {"prepare": "Unchanged", "train@60": "Ran"}
        (tiny.root / "data/in/60").write_text("60")
        before = tiny.ran()
        restored = run(targets=["train@60"])
        assert restored.names == {"prepare": "Unchanged", "train@60": "Restored"} and tiny.ran() == before
        assert "came back from DVC's cache" in restored.tasks["train@60"].state.message

        assert run(force=True, targets=["prepare"]).names == {"prepare": "Ran"}

    def test_a_dry_run_changes_nothing(self, tiny, run):
        before = (tiny.root / "params.yaml").read_bytes()
        ended = run(dry=True, percents=[60, 80])
        assert ended.names["train@80"] == "WouldRun" and "train@40" not in ended.names and not tiny.log()
        assert (tiny.root / "params.yaml").read_bytes() == before and not (tiny.root / "dvc.lock").exists()


class TestDag:
    def test_a_change_of_dvc_yaml_is_a_change_of_the_flow(self, tiny, run):
        run(targets=["evaluate@40"])
        assert tiny.ran() == ["prepare", "train-40", "evaluate-40"]
        text = (tiny.root / "dvc.yaml").read_text()
        stage = "  polish:\n    cmd: python work.py polish\n    deps: [data/evaluate-40]\n    outs: [data/polish]\n"
        (tiny.root / "dvc.yaml").write_text(text + stage)
        ended = run(targets=["polish"])
        assert ended.names == {
            "prepare": "Unchanged",
            "train@40": "Unchanged",
            "evaluate@40": "Unchanged",
            "polish": "Ran",
        }
        assert ended.needs("polish") == {"evaluate@40"}

    def test_order_needs_and_groups(self, tiny, monkeypatch, tmp_path):
        stages = {stage.name: stage for stage in graph.read(tiny.root)}
        assert sorted(stages) == sorted(ALL) and stages["train@40"].gpu and not stages["evaluate@40"].gpu
        seen = set()
        for stage in stages.values():
            assert set(stage.needs) <= seen
            seen.add(stage.name)
        assert [each.name for each in graph.read(tiny.root, ["train"])] == ["prepare", "train@40", "train@60"]
        monkeypatch.chdir(tmp_path)  # addresses are the project's, not the current folder's
        assert {stage.name for stage in graph.read(tiny.root)} == set(ALL)

    def test_mistakes(self, tiny):
        with pytest.raises(InputError, match="no stage 'trian' in dvc.yaml"):
            graph.read(tiny.root, ["trian"])
        (tiny.root / "dvc.yaml").write_text("stages: [")
        with pytest.raises(InputError, match="dvc.yaml") as error:
            graph.read(tiny.root)
        assert "\n" not in str(error.value)


class TestFailures:
    def test_one_percent_leaves_the_others_running(self, tiny, run):
        tiny.tell("train-40", "fail")
        ended = run()
        assert ended.run.state.is_failed() and "train@40: train-40: this cannot work" in ended.run.state.message
        assert ended.names == {
            "prepare": "Ran",
            "train@40": "Failed",
            "evaluate@40": "Skipped",
            "train@60": "Ran",
            "evaluate@60": "Ran",
            "report": "Skipped",
        }
        assert ended.tasks["train@40"].run_count == 1, "a deterministic error is not tried again"
        assert ended.tasks["evaluate@40"].state.message == "train@40 did not succeed"

    def test_or_stops_the_rest_on_request(self, tiny, run):
        tiny.tell("train-40", "fail")
        ended = run(keep_going=False)
        assert ended.names["train@60"] == ended.names["report"] == "Skipped" and tiny.ran() == ["prepare", "train-40"]

    def test_what_may_pass_is_tried_again(self, tiny, run):
        tiny.tell("train-40", "busy")  # cannot reach something, once
        ended = run(targets=["train@40"])
        assert ended.names["train@40"] == "Ran" and ended.tasks["train@40"].run_count == 2
        assert tiny.ran() == ["prepare", "train-40", "train-40"]

    def test_a_second_run_in_the_same_folder_is_refused(self, tiny, run):
        from pipeline.dvc.workspace_lock import locked_workspace

        with locked_workspace(tiny.root):
            ended = run()
        assert ended.run.state.is_failed() and "another run is at work" in ended.run.state.message and not tiny.log()


def test_lines_arrive_while_the_stage_runs(tiny, run):
    tiny.tell("prepare", "sleep 3")
    ended = run(targets=["prepare"])
    lines = {log.message: log for log in ended.logs if log.task_run_id == ended.tasks["prepare"].id}
    assert {"working on prepare", "a note of prepare"} <= lines.keys()  # stdout and stderr
    early = (ended.tasks["prepare"].end_time - lines["working on prepare"].timestamp).total_seconds()
    assert early > 2.5
    assert not any("Updating lock file" in message for message in lines)


def test_stages_take_turns_on_the_gpu(tiny, run, prefect):
    text = (tiny.root / "params.yaml").read_text()
    (tiny.root / "params.yaml").write_text(text.replace("device: auto", "device: cuda"))
    for name in ("train-40", "train-60", "evaluate-40"):
        tiny.tell(name, "sleep 1")
    run(workers=2)
    spans = {line[1]: float(line[2]) for line in tiny.log() if line[0] == "start"}
    ends = {line[1]: float(line[2]) for line in tiny.log() if line[0] == "end"}
    assert spans["train-60"] >= ends["train-40"], "two on the GPU at once"
    assert spans["evaluate-40"] < ends["train-60"], "what needs no GPU goes on beside it"
    assert prefect.read_global_concurrency_limit_by_name("gpu").limit == 1


def test_settings_of_a_run(tiny, run):
    ended = run(experiment="mnist_quick", percents=[60], targets=["train"])
    assert ended.run.name == "mnist_quick" and set(ended.names) == {"prepare", "train@60"}
    text = (tiny.root / "params.yaml").read_text()
    assert "name: mnist " in text and "percents: [60]" in text
    refused = run(percents=[0], targets=["train"])
    assert refused.run.state.is_failed() and "percents: 0 is not a share" in refused.run.state.message
    assert (tiny.root / "params.yaml").read_text() == text


class TestStopping:
    """However it is stopped: the stage and its own workers are gone, and the next run goes on."""

    def start(self, tiny, pages, *arguments: str, **environment: str) -> subprocess.Popen:
        tiny.tell("train-40", "slow")
        outside = {"PREFECT_API_URL": f"{pages.prefect}/api", "LABELMINT_TRACKING": "off"}
        return tiny.start("run", *arguments, **outside, **environment)

    def check_gone_and_resumable(self, tiny, run, stage: str = "train-40"):
        until(lambda: not any(alive(pid) for pid in tiny.pids(stage)), 30)
        (tiny.root / "control" / stage).unlink()
        ended = run()
        assert (
            ended.run.state.is_completed() and ended.names["prepare"] == "Unchanged" and ended.names["report"] == "Ran"
        )

    def test_by_ctrl_c(self, tiny, pages, run):
        process = self.start(tiny, pages)
        until(lambda: tiny.pids("train-40"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130 and said.splitlines()[-1] == "error: interrupted; run again to go on", said
        assert "Traceback" not in said
        self.check_gone_and_resumable(tiny, run)

    def test_by_a_kill(self, tiny, pages, run):
        process = self.start(tiny, pages)
        until(lambda: tiny.pids("train-40"))
        process.kill()
        process.communicate()
        self.check_gone_and_resumable(tiny, run)

    def test_from_the_pages(self, tiny, pages, prefect, run):
        from prefect.client.schemas.filters import FlowRunFilter
        from prefect.states import Cancelling

        before = {each.id for each in prefect.read_flow_runs()}
        process = self.start(tiny, pages)
        until(lambda: tiny.pids("train-40"))
        (mine,) = [
            each
            for each in prefect.read_flow_runs(flow_run_filter=FlowRunFilter(state={"type": {"any_": ["RUNNING"]}}))
            if each.id not in before
        ]
        prefect.set_flow_run_state(mine.id, Cancelling())
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "cancelled" in said.splitlines()[-1]
        assert prefect.read_flow_run(mine.id).state.is_cancelled()
        self.check_gone_and_resumable(tiny, run)

    def test_a_stage_that_will_not_hear(self, tiny, pages, run):
        process = self.start(tiny, pages, LABELMINT_GRACE="1")
        tiny.tell("train-40", "deaf")
        until(lambda: tiny.pids("train-40"))
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) and process.returncode == 130
        self.check_gone_and_resumable(tiny, run)


def test_without_a_server(tmp_path, pages):
    """The run starts one and ends it, or it ends with a run that is killed; its record stays in the project."""
    tiny = TinyProject(tmp_path / "tiny")
    _copy_tables(pages.root / ".servers/prefect/prefect.db", tiny.root / ".servers/prefect/prefect.db")
    done = tiny.labelmint("run", "train@40", LABELMINT_TRACKING="off")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "2 ran", done.stderr[-2000:]
    with sqlite3.connect(tiny.root / ".servers/prefect/prefect.db") as database:
        assert {name for (name,) in database.execute("select name from task_run")} >= {"prepare", "train@40"}
    assert not _temporary_servers(tiny.root)
    assert "View at" not in done.stderr, "there are no pages"

    tiny.tell("train-60", "slow")
    process = tiny.start("run", "train@60", LABELMINT_TRACKING="off")
    until(lambda: tiny.pids("train-60"))
    (server,) = _temporary_servers(tiny.root)
    check_no_other_page_gets_in(f"http://127.0.0.1:{server.cmdline()[-1]}")
    process.kill()
    process.communicate()
    until(lambda: not _temporary_servers(tiny.root), 30)
    until(lambda: not any(alive(pid) for pid in tiny.pids("train-60")), 30)


def _temporary_servers(root: Path) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline", "cwd"])
        if "pipeline.flow.temporary_server" in (each.info["cmdline"] or []) and each.info["cwd"] == str(root)
    ]


def _copy_tables(source: Path, target: Path) -> None:
    """Prefect's database, since making its tables takes long."""
    target.parent.mkdir(parents=True)
    with sqlite3.connect(source) as have, sqlite3.connect(target) as copy:
        have.backup(copy)
        copy.execute("delete from task_run")


def test_an_unreachable_server_is_named_at_once(tiny):
    done = tiny.labelmint("run", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--experiment", "mnst"], "no experiment 'mnst'"),
        (["run", "--percents", "all"], "expected whole numbers"),
        (["serve", "--cron", "0 2 * * *"], "no Prefect server: start one with `make ui`"),
    ],
)
def test_mistakes_end_with_2_and_one_line(tiny, arguments, says):
    done = tiny.labelmint(*arguments)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_light_commands_import_neither_prefect_nor_mlflow(tiny):
    code = (
        "import sys; sys.argv = ['labelmint', 'use', 'default']\n"
        "from pipeline.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('prefect', 'mlflow', 'torch', 'dvc', 'dask', 'distributed') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny.root, env=tiny.environment(), capture_output=True, text=True
    )
    assert json.loads(done.stdout.splitlines()[-1].replace("'", '"')) == []
