"""Training on a real Dask scheduler and two worker processes on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from labelmint.runtime.devices import threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.training import cluster
from labelmint.training.strategies import train_arm
from tests.conftest import ROOT, equal
from tests.system.servers import until


def start(*command: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "asyncio"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def scheduler(tmp_path):
    """Address of a scheduler without workers."""
    file = tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    process = start("dask_scheduler", *options, folder=tmp_path)

    def address() -> str | None:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):  # not yet written, or half of it
            return None

    try:
        yield until(address)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def workers(scheduler, tmp_path):
    """Two worker processes without nannies, so that a killed one is not restarted."""
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
    processes = [start("dask_worker", scheduler, *options, folder=tmp_path) for _ in range(2)]
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield processes
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_killed_worker_does_not_change_the_weights(  # noqa: PLR0917
    replica, digits, scheduler, workers, tmp_path, capsys, monkeypatch
):
    """Four replicas on two workers. One is killed midway; the other one takes over its replica."""
    training = replace(replica.training, epochs=4, images_per_epoch=800)
    replicas = [
        replace(
            replica, name=str(seed), seed=seed, training=training, checkpoints=tmp_path / "kept" / str(seed)
        )
        for seed in range(4)
    ]
    local = [replace(each, checkpoints=None) for each in replicas]
    with threads(1):  # in this process: a fork would fail after some tests that use autograd
        expected = dict(train_arm("x", local, digits, Compute("cpu", strategy="one_by_one")))
    sent: list[np.ndarray] = []
    scatter = Client.scatter

    def counted(self, data, **options):
        sent.append(data)
        return scatter(self, data, **options)

    monkeypatch.setattr(Client, "scatter", counted)
    victim, seen = workers[0], []

    def callback(report):
        seen.append(report.images)
        if sum(seen) > 3000 and victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)

    trained = dict(cluster.train(replicas, digits, Compute("cpu", cluster=scheduler), callback))
    assert victim.wait(10) == -signal.SIGKILL
    assert trained.keys() == expected.keys()
    assert all(equal(expected[position], trained[position]) for position in expected)
    assert [len(images) for images in sent] == [len(np.unique(replica.rows))]  # sent once, only those needed
    assert "4 generators on 2 workers of tcp://127.0.0.1" in capsys.readouterr().err
    assert sum(seen) > 0.6 * 4 * 3200  # what the dying worker had not reported is missing


def test_closing_early_cancels_the_work(replica, digits, scheduler, workers):
    training = replace(replica.training, epochs=1000, images_per_epoch=1600)

    interrupted = threading.Event()

    def interrupt(*_):
        """Interrupt the main thread once; progress is reported in another one."""
        if not interrupted.is_set():
            interrupted.set()
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)

    results = cluster.train(
        [replace(replica, training=training)], digits, Compute("cpu", cluster=scheduler), interrupt
    )
    with pytest.raises(KeyboardInterrupt):
        list(results)
    results.close()
    with Client(scheduler, set_as_default=False) as client:
        until(lambda: not any(client.processing().values()))


def test_a_missing_scheduler_and_missing_workers_are_named(replica, digits, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "_SCHEDULER_TIMEOUT", 1)
    monkeypatch.setattr(cluster, "_WORKERS_TIMEOUT", 1)

    def train(address: str) -> None:
        list(cluster.train([replica], digits, Compute("cpu", cluster=address), lambda *_: None))

    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127.0.0.1:9;"):
        train("tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="has no workers; start some"):
        train(scheduler)


def test_a_worker_without_the_requested_device_is_named(replica, digits, scheduler, workers):
    with pytest.raises(InputError, match="cuda:999 is requested, but .* the Dask worker tcp://127.0.0.1:"):
        list(cluster.train([replica], digits, Compute("cuda:999", cluster=scheduler), lambda *_: None))
