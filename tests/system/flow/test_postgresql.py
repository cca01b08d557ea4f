"""Prefect and MLflow on a real PostgreSQL, with two pipelines at once."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.servers import UiServers, free_port, until
from tests.system.tiny_project import TinyProject

STAGES = ("prepare", "train-40", "train-60", "evaluate-40", "evaluate-60", "report")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """User, host and port of a server. It refuses to run as root; then another user runs it."""
    folders = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *map(Path, os.get_exec_path()),
    ]
    programs = next((folder for folder in folders if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("no initdb here; Debian's package postgresql has it")
    folder, as_user = tmp_path_factory.mktemp("postgresql"), []
    if os.geteuid() == 0:
        user = next(name for name in ("postgres", "nobody") if _user_exists(name))
        as_user = ["runuser", "-u", user, "--"]
        for parent in (folder, *folder.parents):  # only their owner may enter pytest's folders
            if not parent.stat().st_mode & stat.S_IXOTH:
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    create = [*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "labelmint", "--no-sync"]
    subprocess.run(create, check=True, capture_output=True, cwd="/")
    command = [*as_user, programs / "postgres", "-D", data, "-p", str(port), "-k", folder]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    import psycopg2

    def connection():
        try:
            return psycopg2.connect(host="127.0.0.1", port=port, user="labelmint", dbname="postgres")
        except psycopg2.OperationalError:
            return None

    connected = until(connection)
    connected.autocommit = True
    with connected.cursor() as cursor:
        for name in ("prefect", "mlflow"):
            cursor.execute(f"CREATE DATABASE {name}")
    connected.close()
    yield f"labelmint@127.0.0.1:{port}"
    process.terminate()
    process.wait(60)


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="module")
def servers(postgresql, tmp_path_factory):
    """Prefect's and MLflow's servers with their databases in PostgreSQL."""
    root = tmp_path_factory.mktemp("servers")
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    servers = UiServers(
        root,
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{postgresql}/prefect",
        MLFLOW_BACKEND_STORE_URI=f"postgresql+psycopg2://{postgresql}/mlflow",
    )
    yield servers
    servers.stop()


def test_two_pipelines_at_once(servers, postgresql, tmp_path):
    import psycopg2
    from mlflow.tracking import MlflowClient

    projects = [TinyProject(tmp_path / name) for name in ("one", "two")]
    for project in projects:
        for stage in STAGES:
            project.set_behaviour(stage, "track")
    environment = {"PREFECT_API_URL": f"{servers.prefect}/api", "MLFLOW_TRACKING_URI": servers.mlflow}
    processes = [project.start("run", "--workers", "2", **environment) for project in projects]
    outputs = [process.communicate(timeout=300) for process in processes]
    for process, (out, err) in zip(processes, outputs):
        assert process.returncode == 0, err[-3000:]
        assert out.splitlines()[-1] == "6 ran", err[-3000:]
        assert "lock" not in err.lower(), err
    for project in projects:
        assert project.labelmint("sync", **environment).returncode == 0

    with psycopg2.connect(f"postgresql://{postgresql}/prefect") as database, database.cursor() as cursor:
        cursor.execute("select state_name, count(*) from task_run group by state_name")
        assert dict(cursor.fetchall()) == {"Ran": 12}
        cursor.execute("select state_type, count(*) from flow_run group by state_type")
        assert dict(cursor.fetchall()) == {"COMPLETED": 2}
    client = MlflowClient(servers.mlflow)
    experiment = client.get_experiment_by_name("labelmint-digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.info.run_name == "pipeline"]
    assert len(parents) == 2
    assert len(runs) == 14
    assert {run.info.status for run in runs} == {"FINISHED"}
    for parent in parents:
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert sorted(child.info.run_name for child in children) == sorted(STAGES)
        for child in children:
            assert len(client.get_metric_history(child.info.run_id, "loss")) == 50
    for name in ("prefect", "mlflow"):
        log = (servers.root / f".servers/{name}.log").read_text().lower()
        assert "locked" not in log
        assert "deadlock" not in log
