"""A real Dask scheduler and two worker processes on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.training import cluster
from labelmint.training.strategies import train_arm
from tests.conftest import ROOT, equal


def start(*command: str, folder) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "asyncio"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def scheduler(tmp_path):
    """Yields the address of a scheduler without workers."""
    file = tmp_path / "scheduler.json"
    process = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file), folder=tmp_path)  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        import json

        yield json.loads(file.read_text())["address"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def workers(scheduler, tmp_path):
    """Two worker processes without nannies, so that what is killed stays dead."""
    made = [
        start(
            "dask_worker",
            scheduler,
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            folder=tmp_path,
        )  # fmt: skip
        for _ in range(2)
    ]
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield made
    for process in made:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_worker_killed_midway_costs_nothing(
    replica, digits, scheduler, workers, tmp_path, capsys, monkeypatch
):
    """Four replicas on two workers, one of which is killed once it has saved: another goes on, to the same weights."""
    training = replace(replica.training, epochs=4, images_per_epoch=1600)
    replicas = [
        replace(
            replica, name=str(seed), seed=seed, training=training, checkpoints=tmp_path / "kept" / str(seed)
        )
        for seed in range(4)
    ]
    alone = dict(
        train_arm("x", [replace(each, checkpoints=None) for each in replicas], digits, Compute("cpu", 2))
    )
    sent = []
    from distributed import Client

    scatter = Client.scatter
    monkeypatch.setattr(
        Client, "scatter", lambda self, data, **how: (sent.append(data), scatter(self, data, **how))[1]
    )
    victim, seen = workers[0], []

    def watch(position, images, row):
        seen.append(images)
        if sum(seen) > 6000 and victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)

    spread = dict(cluster.train(replicas, digits, Compute("cpu", cluster=scheduler), watch))
    assert victim.wait(10) == -signal.SIGKILL
    assert spread.keys() == alone.keys() and all(
        equal(alone[position], spread[position]) for position in alone
    )
    assert len(sent) == 1 and len(sent[0]) == len(
        np.unique(replica.rows)
    )  # images travel once, and only those needed
    assert "4 generators on 2 workers of tcp://127.0.0.1" in capsys.readouterr().err
    assert sum(seen) > 0.6 * 4 * 6400  # what a dying worker had not yet reported is not reported again


def test_leaving_early_ends_the_work(replica, digits, scheduler, workers):
    training = replace(replica.training, epochs=1000, images_per_epoch=1600)
    results = cluster.train(
        [replace(replica, training=training)], digits, Compute("cpu", cluster=scheduler), _Leave()
    )
    with pytest.raises(KeyboardInterrupt):
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        signal.alarm(6)
        list(results)
    results.close()
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        deadline = time.monotonic() + 20
        while any(client.processing().values()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(client.processing().values())


class _Leave:
    def __call__(self, *_):
        pass


def test_no_scheduler_and_no_workers_are_one_line(replica, digits, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "_SECONDS_FOR_SCHEDULER", 1)
    monkeypatch.setattr(cluster, "_SECONDS_FOR_WORKERS", 1)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127.0.0.1:9;"):
        list(cluster.train([replica], digits, Compute("cpu", cluster="tcp://127.0.0.1:9"), _Leave()))
    with pytest.raises(InputError, match="has no workers; start some"):
        list(cluster.train([replica], digits, Compute("cpu", cluster=scheduler), _Leave()))
    with pytest.raises(ValueError, match="must be a scheduler's address"):
        Compute(cluster="localhost")
