"""Stages on Dask workers: a local cluster, and one by address."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from pipeline.flow import prefect_environment
from tests.system import servers
from tests.system.tiny_project import alive
from tests.system.servers import free_port, until

pytestmark = pytest.mark.slow


def test_a_local_cluster_gets_the_environment_and_fails_as_threads_do(tiny, run, monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "yes")  # Dask does not copy the environment to its workers
    tiny.tell("train-40", "fail")
    monkeypatch.setenv(prefect_environment.RUNNER, "dask")
    ended = run(workers=2)
    assert ended.names == {
        "prepare": "Ran",
        "train@40": "Failed",
        "evaluate@40": "Skipped",
        "train@60": "Ran",
        "evaluate@60": "Ran",
        "report": "Skipped",
    }
    assert {line[5] for line in tiny.log() if line[0] == "start"} == {"yes"}
    assert any(log.message == "working on train-60" for log in ended.logs), "lines of workers arrive too"


@pytest.fixture
def cluster(tiny):
    """A scheduler and a worker, as an administrator starts them."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = servers.environment(PATH=tiny.environment()["PATH"])
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"]
    scheduler = subprocess.Popen(start, env=environment, cwd=tiny.root, stderr=subprocess.DEVNULL)
    work = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nworkers",
        "1",
        "--nthreads",
        "2",
        "--no-dashboard",
    ]
    worker = subprocess.Popen(work, env=environment, cwd=tiny.root, stderr=subprocess.DEVNULL)
    yield address
    for process in (worker, scheduler):
        process.terminate()
        process.wait(30)


def test_by_address_a_lost_flow_stops_its_stages(tiny, pages, cluster, prefect):
    """The worker goes on living; what it runs for a flow that is stopped does not."""
    tiny.tell("train-40", "slow")
    arguments = ["run", "train@40", "--runner", "dask", "--dask-address", cluster]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", *arguments],
        cwd=tiny.root,
        env=tiny.environment(PREFECT_API_URL=f"{pages.prefect}/api", LABELMINT_TRACKING="off"),
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: tiny.pids("train-40"), 120)
    ancestors = {parent.pid for parent in psutil.Process(tiny.pids("train-40")[0]).parents()}
    assert process.pid not in ancestors, "the stage runs below the worker"
    process.terminate()
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    until(lambda: not any(alive(pid) for pid in tiny.pids("train-40")), 60)
