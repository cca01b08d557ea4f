"""`labelmint serve`: the flow by schedule, or when it is started in Prefect's UI."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import psutil

from tests.conftest import ROOT
from tests.system.flow.flow_run_result import FlowRunResult, flow_runs, if_complete
from tests.system.servers import until
from tests.system.tiny_project import is_alive


@contextmanager
def serving(tiny, ui, *arguments: str):
    """A process of `labelmint serve ARGUMENTS`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", "serve", *arguments],
        cwd=tiny.root,
        env=tiny.environment(
            PREFECT_API_URL=f"{ui.prefect}/api", LABELMINT_TRACKING="off", LABELMINT_GRACE="5"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(90)


def find_deployment(client, name: str):
    """The deployment, or None while it is not registered."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(f"labelmint/{name}")
    except ObjectNotFound:
        return None


def test_due_run_starts_and_completes_its_stages(tiny, ui, prefect):
    """The server schedules the run by itself. With SQLAlchemy 2.1 it never does."""

    def completed() -> FlowRunResult | None:
        runs = flow_runs(prefect, deployment_id={"any_": [deployment.id]})
        done = [each.id for each in runs if each.auto_scheduled and each.state.is_completed()]
        return if_complete(FlowRunResult(prefect, done[0])) if done else None

    with serving(tiny, ui, "--cron", "* * * * *", "--name", "minutely"):
        deployment = until(lambda: find_deployment(prefect, "minutely"))
        result = until(completed)
    assert result.names == dict.fromkeys(
        ["prepare", "train@40", "train@60", "evaluate@40", "evaluate@60", "report"], "Ran"
    )
    assert (tiny.root / "data" / "report").exists()
    prefect.delete_deployment(deployment.id)


def test_run_by_hand_and_cancellation(tiny, ui, prefect):
    from prefect.states import Cancelling

    schedule = ("--cron", "0 2 * * *", "--timezone", "Europe/Vienna")
    with serving(tiny, ui, *schedule, "--name", "tiny", "--workers", "2") as process:
        deployment = until(lambda: find_deployment(prefect, "tiny"))
        (registered,) = deployment.schedules
        assert registered.schedule.cron == "0 2 * * *"
        assert registered.schedule.timezone == "Europe/Vienna"
        assert registered.active
        assert deployment.parameters["workers"] == 2
        assert "Number of stages that run at once" in str(deployment.parameter_openapi_schema)
        own = psutil.Process(process.pid)
        assert own.memory_info().rss < 300e6
        assert not own.children()

        # With parameters of this run's own.
        done = prefect.create_flow_run_from_deployment(deployment.id, parameters={"targets": ["train@40"]})
        until(lambda: prefect.read_flow_run(done.id).state.is_final())  # noqa: PLW0108
        result = until(lambda: if_complete(FlowRunResult(prefect, done.id)))
        assert result.run.state.is_completed()
        assert result.names == {"prepare": "Ran", "train@40": "Ran"}

        tiny.set_behaviour("train-60", "slow")
        cancelled = prefect.create_flow_run_from_deployment(
            deployment.id, parameters={"targets": ["train@60"]}
        )
        until(lambda: tiny.pids("train-60"))
        prefect.set_flow_run_state(cancelled.id, Cancelling())
        until(lambda: not any(is_alive(pid) for pid in tiny.pids("train-60")), 120)
        until(lambda: prefect.read_flow_run(cancelled.id).state.is_cancelled(), 120)  # noqa: PLW0108
    assert prefect.read_deployment(deployment.id).schedules[0].active, (
        "a restart must find the schedule active"
    )


def test_runs_wait_for_each_other_and_for_a_restart_of_serve(tiny, ui, prefect):
    """Two runs would share one folder; what is due while nobody serves is late, not lost."""

    def start():
        return prefect.create_flow_run_from_deployment(deployment.id, parameters={"targets": ["prepare"]})

    def state(run):
        return prefect.read_flow_run(run.id).state

    tiny.set_behaviour("prepare", "wait")
    with serving(tiny, ui, "--name", "in-turn"):
        deployment = until(lambda: find_deployment(prefect, "in-turn"))
        first = start()
        until(lambda: tiny.ran() == ["prepare"])
        second = start()
        until(lambda: state(second).name == "Late")
        assert state(first).is_running()
        (tiny.root / "control" / "prepare.go").touch()
        until(lambda: state(first).is_final() and state(second).is_final())
        assert state(first).is_completed()
        assert state(second).is_completed()
    missed = start()
    until(lambda: state(missed).name == "Late")
    with serving(tiny, ui, "--name", "in-turn"):
        until(lambda: state(missed).is_final())
        assert state(missed).is_completed()
    prefect.delete_deployment(deployment.id)


def test_invalid_schedule_is_refused(tiny, ui):
    done = tiny.labelmint("serve", "--cron", "61 2 * * *", PREFECT_API_URL=f"{ui.prefect}/api")
    assert done.returncode == 2
    assert "--cron '61 2 * * *'" in done.stderr.splitlines()[-1]


def test_printed_command_starts_a_run_that_completes(tiny, ui, prefect, tmp_path):
    """In a shell that has none of the variables of `serve`, and in another folder."""
    with serving(tiny, ui, "--name", "by-hand") as process:
        lines = [process.stdout.readline() for _ in range(3)]
        (command,) = [line.partition(": ")[2] for line in lines if line.startswith("start a run now: ")]
        deployment = until(lambda: find_deployment(prefect, "by-hand"))
        home = tmp_path / "home"
        home.mkdir()
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["sh", "-c", command], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("started run '")
        assert not (home / ".prefect").exists(), "no server and no profile of Prefect's own"
        (started,) = flow_runs(prefect, deployment_id={"any_": [deployment.id]})
        until(lambda: prefect.read_flow_run(started.id).state.is_final())  # noqa: PLW0108
        result = until(lambda: if_complete(FlowRunResult(prefect, started.id)))
    assert result.run.state.is_completed()
    assert set(result.names.values()) == {"Ran"}
    prefect.delete_deployment(deployment.id)


def test_unknown_deployment_is_refused(tiny, ui):
    done = tiny.labelmint("run", "--deployed", "nothing", PREFECT_API_URL=f"{ui.prefect}/api")
    assert done.returncode == 2
    assert "no deployment 'nothing'" in done.stderr.splitlines()[-1]
