"""MLflow's records move between databases whose addresses hold passwords: those are told to nobody."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from pipeline.tracking import move
from tests.servers import free_port, surroundings

PASSWORD, TYPED = "p@ss-w0rd", "p%40ss-w0rd"


@pytest.mark.parametrize(
    "target",
    ["postgresql+psycopg2://user:{0}@127.0.0.1:{1}/mlflow", "postgresql+psycopg2://127.0.0.1:{1}/mlflow?password={0}"],
)
def test_a_failure_is_one_line_without_the_password(tmp_path, target):
    (tmp_path / "mlflow.db").touch()
    environment = surroundings(MLFLOW_BACKEND_STORE_URI=target.format(TYPED, free_port()))
    done = subprocess.run([sys.executable, "-m", "pipeline.tracking.move"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: sqlite:///{tmp_path}/mlflow.db to ") and done.stderr.count("\n") == 1
    assert PASSWORD not in done.stderr and TYPED not in done.stderr
    assert "127.0.0.1:" in done.stderr and "***" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["sqlite:///mlflow.db", "postgresql://user:password@host/mlflow"]])
def test_addresses_come_from_the_environment(arguments):
    done = subprocess.run([sys.executable, "-m", "pipeline.tracking.move", *arguments], env=surroundings(), capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("error: set $MLFLOW_BACKEND_STORE_URI, such as ")


@pytest.mark.slow
def test_no_command_line_holds_an_address_and_mlflow_phones_nobody(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    seen, run = [], subprocess.run

    def spy(command, **options):
        seen.append((command, options["env"]))
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", spy)
    address = f"sqlite:///{tmp_path}/mlflow.db"
    move._upgrade(address)
    ((command, environment),) = seen
    assert environment["LABELMINT_UPGRADE"] == address and environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not [part for part in command if str(tmp_path) in part] and "LABELMINT_UPGRADE" not in os.environ
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (0,)
