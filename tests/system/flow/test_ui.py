"""`labelmint ui`: Prefect's and MLflow's servers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from pipeline.flow.server_process import Server, ServerProcess
from pipeline.probes import answers
from tests.system.servers import UiServers, clean_environment, free_port, until


def labelmint_ui(root, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli.main", "ui", *arguments]
    return subprocess.run(
        command, cwd=root, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def root(tmp_path):
    """A project without content."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def test_addresses_are_printed(ui):
    assert ui.prefect in ui.lines[0]
    assert ui.mlflow in ui.lines[1]


def test_second_ui_of_the_same_project_is_refused(ui):
    done = labelmint_ui(ui.root, "--prefect-port", "1")
    assert done.returncode == 2
    assert f"already running: Prefect at {ui.prefect}" in done.stderr


def test_taken_port_is_named(ui, root):
    port = ui.mlflow.rpartition(":")[2]
    done = labelmint_ui(root, "--prefect-port", str(free_port()), "--mlflow-port", port)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port} for MLflow is taken" in done.stderr
    assert "--mlflow-port" in done.stderr


def test_dead_server_is_restarted_and_ctrl_c_stops_both(root):
    """A server's listener is killed, which for MLflow is a child process.

    What the servers have stored remains.
    """
    ui = UiServers(root)
    try:
        children = psutil.Process(ui.process.pid).children(recursive=True)
        connections = [each for child in children for each in child.net_connections("tcp")]
        assert {each.laddr.ip for each in connections if each.status == "LISTEN"} == {"127.0.0.1"}
        for name, health in (("mlflow", f"{ui.mlflow}/health"), ("prefect", f"{ui.prefect}/api/health")):
            other = ui.server("prefect" if name == "mlflow" else "mlflow")
            victim = ui.server(name)
            (psutil.Process(victim.pid).children() or [victim])[-1].kill()
            line = ui.read_line()
            assert line.lower().startswith(f"{name} ended with ")
            assert "; starting it again in 1 s" in line
            until(partial(answers, health), 120)
            assert ui.server(name).pid != victim.pid
            assert other.is_running()
            assert not victim.is_running()
        children = psutil.Process(ui.process.pid).children(recursive=True)
    finally:
        code = ui.stop(signal.SIGINT)
    assert code == 0
    assert ui.lines[-1] == "stopped"
    assert not any(child.is_running() and child.status() != "zombie" for child in children)
    assert (root / ".servers/prefect/prefect.db").exists()
    assert (root / "mlflow.db").exists()
    assert not (root / ".servers/addresses.json").exists()


class TestServerProcess:
    """With a clock that the test sets."""

    @pytest.fixture
    def clock(self, monkeypatch) -> list[float]:
        clock = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        return clock

    def test_server_that_ends_at_once_is_given_up_after_five_starts(self, tmp_path, clock, capsys):
        command = ["sh", "-c", "echo no such database; exit 1"]
        running = ServerProcess(tmp_path, Server("MLflow", "127.0.0.1", 1, "", "", command, {}))
        lines: list[str] = []
        pauses = []
        while not running.given_up:
            running.process.wait()
            before = len(lines)
            running.restart_if_ended(lines.append)
            if len(lines) > before:
                assert running.restart_at is not None
                clock[0] = running.restart_at
                pauses.append(int(lines[-1].split()[-2]))
        assert pauses == [1, 2, 4, 8]
        assert lines[0] == "MLflow ended with 1 (no such database); starting it again in 1 s"
        assert (
            "error: MLflow ended with 1 (no such database), 5 times within 5 minutes"
            in capsys.readouterr().err
        )
        last = running.process
        running.restart_if_ended(lines.append)
        assert running.process is last
        assert (tmp_path / ".servers" / "mlflow.log").read_text().count("no such") == 5

    def test_server_that_ends_now_and_then_is_not_given_up(self, tmp_path, clock):
        running = ServerProcess(tmp_path, Server("MLflow", "127.0.0.1", 1, "", "", ["false"], {}))
        lines: list[str] = []
        for _ in range(12):
            running.process.wait()
            running.restart_if_ended(lines.append)
            clock[0] += 61 * 5
            running.restart_if_ended(lines.append)
        assert lines == ["MLflow ended with 1 (no output); starting it again in 1 s"] * 12
        assert not running.given_up
