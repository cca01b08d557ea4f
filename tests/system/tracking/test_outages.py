"""MLflow out of order, in every way it can be: the stage does not wait, and afterwards all is there, once."""

from __future__ import annotations

import http.server
import json
import resource
import socket
import subprocess
import sys
import threading

import pytest

from pipeline import failures
from pipeline.tracking.ship import waiting
from pipeline.tracking.sync import sync_all
from tests.conftest import ROOT
from tests.system.servers import MlflowServer, surroundings, until

pytestmark = pytest.mark.slow

STEPS = 100

# A stage of eight seconds, which measures how long its tracker keeps it.
STAGE = f"""\
import json, sys, time
from pathlib import Path
from pipeline.tracking.spool import open_tracker
from stages.prepare.layout import Arm
begun, kept = time.perf_counter(), []
def timed(call, *arguments, **named):
    since = time.perf_counter()
    result = call(*arguments, **named)
    kept.append(time.perf_counter() - since)
    return result
tracker = timed(open_tracker, Path.cwd(), "train_generators", Arm("dcgan", 40, 0), "digits")
png = Path("grid.png").read_bytes()
for step in range({STEPS}):
    timed(tracker.log_metrics, {{"loss": 1.0 / (step + 1)}}, step=step)
    if step % 50 == 0:
        timed(tracker.log_figure, "samples", png, step=step)
    time.sleep(0.08)
timed(tracker.log_file, Path("grid.png"))
timed(tracker.close, "FINISHED")
Path("times.json").write_text(json.dumps([kept[0] + kept[-1], sum(kept[1:-1]), time.perf_counter() - begun]))
"""


class Failing(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(500)

    do_GET = do_POST

    def log_message(self, *_: object) -> None: ...


class Outage:
    """A stage that ran while MLflow was out of order."""

    def __init__(self, folder, uri: str):
        from PIL import Image

        self.root, self.uri = folder, uri
        Image.new("L", (8, 8), 99).save(folder / "grid.png")
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE],
            cwd=folder,
            env=surroundings(MLFLOW_TRACKING_URI=uri, PYTHONPATH=str(ROOT)),
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        self.said = self.process.communicate(timeout=120)[1]
        assert self.process.returncode == 0, self.said
        self.around, self.within, self.total = json.loads((self.root / "times.json").read_text())


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two, started together."""
    both = [MlflowServer(tmp_path_factory.mktemp("mlflow")) for _ in range(2)]
    for each in both:
        each.wait()
    yield both
    for each in both:
        each.kill()


@pytest.fixture(scope="module")
def server(servers):
    return servers[0]


@pytest.fixture(scope="module")
def outages(servers, tmp_path_factory):
    """All of them at once, since each takes the time that a stage takes."""
    server, dying = servers
    hanging = socket.create_server(("127.0.0.1", 0))  # accepts, by the system's backlog, and never answers
    failing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=failing.serve_forever, daemon=True).start()
    uris = {
        "absent": "http://127.0.0.1:9",
        "hanging": f"http://127.0.0.1:{hanging.getsockname()[1]}",
        "answering 500": f"http://127.0.0.1:{failing.server_port}",
        "dying midway": dying.address,
        "disk full": server.address,
    }
    # As a full disk does, a file that may not grow fails what the server writes.
    limits = [(pid, resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))) for pid in server.pids()]
    made = {name: Outage(tmp_path_factory.mktemp("root"), uri) for name, uri in uris.items()}
    midway = made["dying midway"]
    until(lambda: any((folder / "shipped").exists() for folder in waiting(midway.root)), 90)
    dying.kill()
    for outage in made.values():
        outage.wait()
    until(lambda: _shipper_gone(made), 120)
    for pid, limit in limits:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    dying.start()  # with what it had
    dying.wait()
    yield made
    hanging.close()
    failing.shutdown()


def _shipper_gone(made) -> bool:
    import psutil

    roots = {str(outage.root) for outage in made.values()}
    for process in psutil.process_iter(["cmdline"]):
        try:
            if "pipeline.tracking.ship" in (process.info["cmdline"] or []) and process.cwd() in roots:
                return False
        except psutil.Error:
            continue
    return True


@pytest.mark.parametrize("name", ["absent", "hanging", "answering 500", "dying midway", "disk full"])
def test_nothing_waits_and_nothing_is_lost(outages, server, monkeypatch, name):
    from mlflow.tracking import MlflowClient

    outage = outages[name]
    assert outage.within < 0.02 * outage.total, f"telling took {outage.within:.2f} of {outage.total:.2f} s"
    assert outage.around < 1.0, f"beginning and ending took {outage.around:.2f} s, however long the stage"
    assert len(waiting(outage.root)) == 1, "it is there, to be shipped"
    home = outage.uri if name == "dying midway" else server.address
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "labelmint-digits")
    before = _runs(home)
    assert sync_all(outage.root).startswith("1 of 1 runs shipped") and not waiting(outage.root)
    assert sync_all(outage.root).startswith("0 of 0")
    after = _runs(home)
    new = [run for run in after if run.info.run_id not in {each.info.run_id for each in before}]
    if name == "dying midway":  # the run had begun before the server died, and is gone on with
        assert not new and len(before) == 1
        new = after
    (run,) = new
    assert run.info.status == "FINISHED"
    client = MlflowClient(home)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [
        (step, pytest.approx(1 / (step + 1))) for step in range(STEPS)
    ]
    assert len(client.list_artifacts(run.info.run_id, "images")) == 4
    assert "grid.png" in {each.path for each in client.list_artifacts(run.info.run_id)}


def _runs(uri: str):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name("labelmint-digits")
    return client.search_runs([found.experiment_id]) if found else []


def test_a_later_stage_says_why(outages):
    """The first cannot know yet; who comes after reads it, in one line."""
    root = outages["hanging"].root
    (root / ".tracking" / "error").write_text("http://127.0.0.1:1: timed out")
    code = "from pathlib import Path; from pipeline.tracking.spool import open_tracker as o; o(Path.cwd(), 'report', None).close('FINISHED')"
    environment = surroundings(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert done.stderr == "not in MLflow yet (http://127.0.0.1:1: timed out); nothing is lost: a later stage or `labelmint sync` ships it\n"  # fmt: skip


def test_sync_says_so_when_it_cannot(outages):
    root = outages["absent"].root
    environment = surroundings(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    code = "from pathlib import Path; from pipeline.tracking.spool import open_tracker as o; o(Path.cwd(), 'report', None).close('FINISHED')"
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "sync"], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "nothing is lost, try again later" in done.stderr
    assert waiting(root)


def test_a_lost_server_of_prefect_is_named_with_what_to_do():
    import httpx

    with pytest.raises(httpx.TransportError) as raised:
        httpx.get("http://127.0.0.1:9/api/health")
    said = failures.describe(raised.value)
    assert said.startswith("Prefect's server was lost (ConnectError: ") and "run again to go on" in said
    assert "\n" not in said
