"""A stopped run: the stage and its workers end, and the next run continues."""

from __future__ import annotations

import signal
import subprocess

from tests.system.flow.flow_run_result import running_flow_runs
from tests.system.servers import UiServers, until
from tests.system.tiny_project import TinyProject, is_alive


def start(tiny: TinyProject, ui: UiServers, **environment: str) -> subprocess.Popen[str]:
    """A run whose stage train-40 takes minutes and has a worker process."""
    tiny.set_behaviour("train-40", "slow")
    return tiny.start("run", PREFECT_API_URL=f"{ui.prefect}/api", LABELMINT_TRACKING="off", **environment)


def assert_ended_and_resumable(tiny, run) -> None:
    until(lambda: not any(is_alive(pid) for pid in tiny.pids("train-40")), 120)
    (tiny.root / "control" / "train-40").unlink()
    result = run()
    assert result.run.state.is_completed()
    assert result.names["prepare"] == "Unchanged"
    assert result.names["report"] == "Ran"


def test_ctrl_c(tiny, ui, run):
    process = start(tiny, ui)
    until(lambda: tiny.pids("train-40"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("error: interrupted; run again to "), err
    assert "Traceback" not in err
    assert_ended_and_resumable(tiny, run)


def test_kill(tiny, ui, run):
    process = start(tiny, ui)
    until(lambda: tiny.pids("train-40"))
    process.kill()
    process.communicate()
    assert_ended_and_resumable(tiny, run)


def test_cancellation_in_prefects_ui(tiny, ui, prefect, run):
    from prefect.states import Cancelling

    before = {each.id for each in prefect.read_flow_runs()}
    process = start(tiny, ui)
    until(lambda: tiny.pids("train-40"))
    running = running_flow_runs(prefect)
    (flow_run,) = [each for each in running if each.id not in before]
    prefect.set_flow_run_state(flow_run.id, Cancelling())
    _, err = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "cancelled" in err.splitlines()[-1]
    assert prefect.read_flow_run(flow_run.id).state.is_cancelled()
    assert_ended_and_resumable(tiny, run)


def test_stage_that_ignores_signals_is_killed_after_the_grace_period(tiny, ui, run):
    process = start(tiny, ui, LABELMINT_GRACE="1")
    tiny.set_behaviour("train-40", "deaf")
    until(lambda: tiny.pids("train-40"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=180)
    assert process.returncode == 130
    assert_ended_and_resumable(tiny, run)
