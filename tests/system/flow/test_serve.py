"""`labelmint serve` and `labelmint ui`, as processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from pipeline.flow import servers
from pipeline.flow.prefect_environment import answers
from tests.system.flow.flow_runs import Ended, complete
from tests.system.tiny_project import alive
from tests.system.servers import Pages, free_port, surroundings, until

pytestmark = pytest.mark.slow


@contextmanager
def serving(tiny, pages, *arguments: str):
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", "serve", *arguments],
        cwd=tiny.root,
        env=tiny.environment(PREFECT_API_URL=f"{pages.prefect}/api", LABELMINT_TRACKING="off", LABELMINT_GRACE="5"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(90)


def test_a_schedule_its_runs_and_a_stop_from_the_pages(tiny, pages, prefect):
    from prefect.states import Cancelling

    with serving(tiny, pages, "--cron", "0 2 * * *", "--timezone", "Europe/Vienna", "--name", "tiny") as process:
        deployment = until(lambda: _deployment(prefect), 120)
        (schedule,) = deployment.schedules
        assert (schedule.schedule.cron, schedule.schedule.timezone, schedule.active) == (
            "0 2 * * *",
            "Europe/Vienna",
            True,
        )
        assert deployment.parameters["workers"] == 1 and "Stages at once" in str(deployment.parameter_openapi_schema)
        own = psutil.Process(process.pid)
        assert own.memory_info().rss < 300e6 and not own.children()

        # By the button, with settings of this run's own.
        done = prefect.create_flow_run_from_deployment(deployment.id, parameters={"targets": ["train@40"]})
        until(lambda: prefect.read_flow_run(done.id).state.is_final(), 180)
        ended = until(lambda: complete(Ended(prefect, done.id)))
        assert ended.run.state.is_completed() and ended.names == {"prepare": "Ran", "train@40": "Ran"}

        tiny.tell("train-60", "slow")
        cancelled = prefect.create_flow_run_from_deployment(deployment.id, parameters={"targets": ["train@60"]})
        until(lambda: tiny.pids("train-60"), 180)
        prefect.set_flow_run_state(cancelled.id, Cancelling())
        until(lambda: not any(alive(pid) for pid in tiny.pids("train-60")), 90)
        until(lambda: prefect.read_flow_run(cancelled.id).state.is_cancelled(), 90)
    assert (prefect.read_deployment(deployment.id)).schedules[0].active, "a restart finds the schedule as it was"


def _deployment(client):
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name("labelmint/tiny")
    except ObjectNotFound:
        return None


def test_bad_schedules_are_refused(tiny, pages, prefect):
    done = tiny.labelmint("serve", "--cron", "61 2 * * *", PREFECT_API_URL=f"{pages.prefect}/api")
    assert done.returncode == 2 and "--cron '61 2 * * *'" in done.stderr.splitlines()[-1]


class TestUi:
    def test_addresses_are_printed_and_a_taken_port_is_named(self, pages):
        assert pages.prefect in pages.said[0] and pages.mlflow in pages.said[1]
        again = self.ui(pages.root, "--prefect-port", "1")
        assert again.returncode == 2 and f"already running: Prefect at {pages.prefect}" in again.stderr
        elsewhere = pages.root / "experiments"  # another project, whose ports are the same
        for name in ("params.yaml", "dvc.yaml"):
            (elsewhere / name).touch()
        port = pages.mlflow.rpartition(":")[2]
        taken = self.ui(elsewhere, "--prefect-port", str(free_port()), "--mlflow-port", port)
        for name in ("params.yaml", "dvc.yaml"):
            (elsewhere / name).unlink()
        assert taken.returncode == 2 and taken.stderr.count("\n") == 1
        assert f"port {port} for MLflow is taken" in taken.stderr and "--mlflow-port" in taken.stderr

    def ui(self, root, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pipeline.cli.main", "ui", *arguments]
        return subprocess.run(command, cwd=root, env=surroundings(), capture_output=True, text=True, timeout=60)

    def test_ctrl_c_stops_both_and_what_they_knew_stays(self, tmp_path):
        for name in ("params.yaml", "dvc.yaml"):
            (tmp_path / name).touch()
        pages = Pages(tmp_path)
        children = psutil.Process(pages.process.pid).children(recursive=True)
        listening = {
            each.laddr.ip for child in children for each in child.net_connections("tcp") if each.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}
        assert pages.stop(signal.SIGINT) == 0 and pages.said[-1] == "stopped"
        assert not any(child.is_running() and child.status() != "zombie" for child in children)
        assert (tmp_path / ".servers/prefect/prefect.db").exists() and (tmp_path / "mlflow.db").exists()
        assert not (tmp_path / ".servers/addresses.json").exists()

    def test_one_that_dies_is_started_again_while_the_other_goes_on(self, tmp_path):
        """Its whole group is killed, or its listener alone, which for MLflow is a child."""
        for name in ("params.yaml", "dvc.yaml"):
            (tmp_path / name).touch()
        pages = Pages(tmp_path)
        try:
            for name, address in (("mlflow", f"{pages.mlflow}/health"), ("prefect", f"{pages.prefect}/api/health")):
                other = pages.server("prefect" if name == "mlflow" else "mlflow")
                victim = pages.server(name)
                (psutil.Process(victim.pid).children() or [victim])[-1].kill()
                said = pages.process.stdout.readline()
                assert said.lower().startswith(f"{name} ended with ") and "; starting it again in 1 s" in said
                until(lambda address=address: answers(address), 120)
                assert pages.server(name).pid != victim.pid and other.is_running()
                assert not victim.is_running()
        finally:
            assert pages.stop() == 0


def test_a_server_that_dies_at_once_is_given_up_after_five_deaths(tmp_path, monkeypatch, capsys):
    checkpoint = [0.0]
    monkeypatch.setattr(servers.time, "monotonic", lambda: checkpoint[0])
    server = servers.Server("MLflow", "127.0.0.1", 1, "", "", ["sh", "-c", "echo no such database; exit 1"], {})
    running, said, pauses = servers._Running(tmp_path, server), [], []
    while not running.given_up:
        running.process.wait()
        began = len(said)
        running.revive(said.append)
        if len(said) > began:
            checkpoint[0] = running.again
            pauses.append(int(said[-1].split()[-2]))
    assert pauses == [1, 2, 4, 8]
    assert said[0] == "MLflow ended with 1 (no such database); starting it again in 1 s"
    assert "error: MLflow ended with 1 (no such database), 5 times within 5 minutes" in capsys.readouterr().err
    before = running.process
    running.revive(said.append)
    assert running.process is before and (tmp_path / ".servers" / "mlflow.log").read_text().count("no such") == 5


def test_a_death_now_and_then_is_no_reason_to_give_up(tmp_path, monkeypatch):
    checkpoint = [0.0]
    monkeypatch.setattr(servers.time, "monotonic", lambda: checkpoint[0])
    running = servers._Running(tmp_path, servers.Server("MLflow", "127.0.0.1", 1, "", "", ["false"], {}))
    said = []
    for _ in range(12):
        running.process.wait()
        running.revive(said.append)
        checkpoint[0] += 61 * 5
        running.revive(said.append)
    assert said == ["MLflow ended with 1 (no word); starting it again in 1 s"] * 12 and not running.given_up
