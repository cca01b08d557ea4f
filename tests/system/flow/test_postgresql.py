"""Prefect and MLflow on a real PostgreSQL, with two pipelines at once."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.tiny_project import TinyProject
from tests.system.servers import Pages, free_port, surroundings, until

pytestmark = pytest.mark.slow
STAGES = ("prepare", "train-40", "train-60", "evaluate-40", "evaluate-60", "report")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """Its address, without a database's name. It refuses to run as root, so another user runs it then."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *os.get_exec_path()]
    programs = next((Path(place) for place in places if (Path(place) / "initdb").exists()), None)
    if programs is None:
        pytest.skip("no initdb here; Debian's package postgresql has it")
    folder, become = tmp_path_factory.mktemp("postgresql"), []
    if os.geteuid() == 0:
        user = next(name for name in ("postgres", "nobody") if _exists(name))
        become = ["runuser", "-u", user, "--"]
        for parent in (folder, *folder.parents[:2]):  # pytest's folders are for their owner alone
            parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    subprocess.run([*become, programs / "initdb", "-D", data, "-A", "trust", "-U", "labelmint", "--no-sync"], check=True, capture_output=True, cwd="/")  # fmt: skip
    command = [*become, programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    import psycopg2

    def connection():
        try:
            return psycopg2.connect(host="127.0.0.1", port=port, user="labelmint", dbname="postgres")
        except psycopg2.OperationalError:
            return None

    connected = until(connection, 60)
    connected.autocommit = True
    with connected.cursor() as cursor:
        for name in ("prefect", "mlflow", "moved"):
            cursor.execute(f"CREATE DATABASE {name}")
    connected.close()
    yield f"labelmint@127.0.0.1:{port}"
    process.terminate()
    process.wait(60)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="module")
def pages(postgresql, tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    pages = Pages(
        root,
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{postgresql}/prefect",
        MLFLOW_BACKEND_STORE_URI=f"postgresql+psycopg2://{postgresql}/mlflow",
    )
    yield pages
    pages.stop()


def test_two_pipelines_at_once(pages, postgresql, tmp_path):
    import psycopg2
    from mlflow.tracking import MlflowClient

    projects = [TinyProject(tmp_path / name) for name in ("one", "two")]
    for project in projects:
        for stage in STAGES:
            project.tell(stage, "track")
    outside = {"PREFECT_API_URL": f"{pages.prefect}/api", "MLFLOW_TRACKING_URI": pages.mlflow}
    running = [project.start("run", "--workers", "2", **outside) for project in projects]
    said = [process.communicate(timeout=300) for process in running]
    for process, (out, err) in zip(running, said):
        assert process.returncode == 0 and out.splitlines()[-1] == "6 ran", err[-3000:]
        assert "lock" not in err.lower(), err
    for project in projects:
        assert project.labelmint("sync", **outside).returncode == 0

    with psycopg2.connect(f"postgresql://{postgresql}/prefect") as database, database.cursor() as cursor:
        cursor.execute("select state_name, count(*) from task_run group by state_name")
        assert dict(cursor.fetchall()) == {"Ran": 12}
        cursor.execute("select state_type, count(*) from flow_run group by state_type")
        assert dict(cursor.fetchall()) == {"COMPLETED": 2}
    client = MlflowClient(pages.mlflow)
    runs = client.search_runs([client.get_experiment_by_name("labelmint-digits").experiment_id])
    parents = [run for run in runs if run.info.run_name == "pipeline"]
    assert len(parents) == 2 and len(runs) == 14 and {run.info.status for run in runs} == {"FINISHED"}
    for parent in parents:
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert sorted(child.info.run_name for child in children) == sorted(STAGES)
        for child in children:
            assert len(client.get_metric_history(child.info.run_id, "loss")) == 50
    for name in ("prefect", "mlflow"):
        log = (pages.root / f".servers/{name}.log").read_text().lower()
        assert "locked" not in log and "deadlock" not in log


def test_records_move_from_sqlite(postgresql, tmp_path):
    """All of them, with their types; and what is told afterwards comes on top."""
    from mlflow.tracking import MlflowClient

    origin, target = f"sqlite:///{tmp_path}/mlflow.db", f"postgresql+psycopg2://{postgresql}/moved"
    client = MlflowClient(origin)
    experiment = client.create_experiment("labelmint-digits")
    run = client.create_run(experiment, tags={"stage": "evaluate"})
    for step in (0, 500, 1000):
        client.log_metric(run.info.run_id, "loss", 1.0 / (step + 1), step=step)
    client.log_metric(run.info.run_id, "odd", float("nan"))
    client.create_registered_model("labelmint-digits")
    client.set_terminated(run.info.run_id)
    command = [sys.executable, "-m", "pipeline.tracking.move"]
    environment = surroundings(LABELMINT_MOVE_FROM=origin, MLFLOW_BACKEND_STORE_URI=target)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("copied 1 runs, 4 metrics"), done.stderr[-2000:]

    moved = MlflowClient(target)
    (found,) = moved.search_runs(
        [moved.get_experiment_by_name("labelmint-digits").experiment_id], "tags.stage = 'evaluate'"
    )
    assert found.info.status == "FINISHED" and found.info.run_id == run.info.run_id
    told = [(point.step, point.value) for point in moved.get_metric_history(run.info.run_id, "loss")]
    assert told == [(0, 1.0), (500, 1 / 501), (1000, 1 / 1001)]
    assert moved.get_registered_model("labelmint-digits").name == "labelmint-digits"
    assert moved.create_experiment("another") != experiment
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 1 and "the target holds runs already" in again.stderr
