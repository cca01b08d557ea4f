"""Stages on Dask workers: of a local cluster, and of a scheduler given by address."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from pipeline.flow import prefect_environment
from tests.system.servers import clean_environment, free_port, until
from tests.system.tiny_project import is_alive


def test_local_cluster_gets_the_environment_and_handles_failures_as_threads_do(tiny, run, monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "yes")  # Dask does not copy the environment to its workers
    tiny.set_behaviour("train-40", "fail")
    tiny.set_device("cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv(prefect_environment.RUNNER, "dask")
    result = run(workers=2)
    assert result.names == {
        "prepare": "Ran",
        "train@40": "Failed",
        "evaluate@40": "Skipped",
        "train@60": "Ran",
        "evaluate@60": "Ran",
        "report": "Skipped",
    }
    assert {line[5] for line in tiny.log() if line[0] == "start"} == {"yes"}
    cards = {line[1]: line[6] for line in tiny.log() if line[0] == "start"}
    assert {cards["train-40"], cards["train-60"]} <= {"GPU-a", "GPU-b"}
    assert cards["prepare"] == "GPU-a,GPU-b", "it needs no GPU"
    assert any(record.message == "working on train-60" for record in result.logs), (
        "output of workers arrives too"
    )


@pytest.fixture
def cluster(tiny):
    """Address of a scheduler with one worker, started as an administrator does."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = clean_environment(PATH=tiny.environment()["PATH"])
    scheduler_command = ["distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"]
    worker_command = [
        "distributed.cli.dask_worker",
        address,
        "--nworkers",
        "1",
        "--nthreads",
        "2",
        "--no-dashboard",
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, cwd=tiny.root, stderr=subprocess.DEVNULL
        )
        for command in (scheduler_command, worker_command)
    ]
    yield address
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


def test_stopped_flow_stops_its_stages_on_a_worker_that_continues(tiny, ui, cluster):
    tiny.set_behaviour("train-40", "slow")
    arguments = ["run", "train@40", "--runner", "dask", "--dask-address", cluster]
    process = tiny.start(*arguments, PREFECT_API_URL=f"{ui.prefect}/api", LABELMINT_TRACKING="off")
    until(lambda: tiny.pids("train-40"))
    ancestors = {parent.pid for parent in psutil.Process(tiny.pids("train-40")[0]).parents()}
    assert process.pid not in ancestors, "the stage runs below the worker"
    process.terminate()
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    until(lambda: not any(is_alive(pid) for pid in tiny.pids("train-40")), 120)
