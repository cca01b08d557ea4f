"""MLflow out of order: the stage does not wait, and afterwards all its records are there, once."""

from __future__ import annotations

import http.server
import json
import resource
import socket
import subprocess
import sys
import threading

import psutil
import pytest

from pipeline import failures
from pipeline.tracking.spool_folder import waiting
from pipeline.tracking.sync import sync_all
from tests.conftest import ROOT
from tests.system.servers import MlflowServer, clean_environment, until

STEPS = 100

# A stage of eight seconds, which measures the time that its tracker takes. It stays half done while the file
# `pause` exists: on a busy machine, the shipper may otherwise begin after its end, and never be midway.
STAGE = f"""\
import json, time
from pathlib import Path
from pipeline.tracking.spool import open_tracker
from stages.paths import Arm
started, durations, paused = time.perf_counter(), [], 0.0
def timed(call, *arguments, **named):
    since = time.perf_counter()
    result = call(*arguments, **named)
    durations.append(time.perf_counter() - since)
    return result
tracker = timed(open_tracker, Path.cwd(), "train_generators", Arm("dcgan", 40, 0), "digits")
png = Path("grid.png").read_bytes()
for step in range({STEPS}):
    timed(tracker.log_metrics, {{"loss": 1.0 / (step + 1)}}, step=step)
    if step % 50 == 0:
        timed(tracker.log_figure, "samples", png, step=step)
    time.sleep(0.08)
    since = time.perf_counter()
    while step == {STEPS // 2} and Path("pause").exists():
        time.sleep(0.08)
    paused += time.perf_counter() - since
timed(tracker.log_file, Path("grid.png"))
timed(tracker.close, "FINISHED")
around, within = durations[0] + durations[-1], sum(durations[1:-1])
Path("times.json").write_text(json.dumps([around, within, time.perf_counter() - started - paused]))
"""

SHORT_STAGE = """\
from pathlib import Path
from pipeline.terminal import messages_on_stderr
from pipeline.tracking.spool import open_tracker
with messages_on_stderr():
    open_tracker(Path.cwd(), "report", None).close("FINISHED")
"""


class Failing(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(500)

    def do_GET(self) -> None:
        self.send_error(500)

    def log_message(self, *_: object) -> None: ...


class Outage:
    """A stage that runs while MLflow is out of order.

    around, within, total: seconds of opening and closing the tracker, of all other calls, and of the whole
    stage without its pause. pause: while this file exists, the stage does not go beyond its middle.
    """

    def __init__(self, folder, uri: str, pause: bool):
        from PIL import Image

        self.root, self.uri, self.pause = folder, uri, folder / "pause"
        if pause:
            self.pause.touch()
        Image.new("L", (8, 8), 99).save(folder / "grid.png")
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE],
            cwd=folder,
            env=clean_environment(MLFLOW_TRACKING_URI=uri, PYTHONPATH=str(ROOT)),
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        err = self.process.communicate(timeout=120)[1]
        assert self.process.returncode == 0, err
        self.around, self.within, self.total = json.loads((self.root / "times.json").read_text())


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two servers, started together."""
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
    """All outages at once, since each takes the time of a stage."""
    server, dying = servers
    hanging = socket.create_server(("127.0.0.1", 0))  # the system's backlog accepts, and nobody answers
    failing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=failing.serve_forever, daemon=True).start()
    uris = {
        "absent": "http://127.0.0.1:9",
        "hanging": f"http://127.0.0.1:{hanging.getsockname()[1]}",
        "answering 500": f"http://127.0.0.1:{failing.server_port}",
        "dying midway": dying.address,
        "disk full": server.address,
    }
    # As on a full disk, the server's writes fail, since its files may not grow.
    limits = [
        (pid, resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)))
        for pid in server.pids()
    ]
    stages = {
        name: Outage(tmp_path_factory.mktemp("root"), uri, pause=name == "dying midway")
        for name, uri in uris.items()
    }
    midway = stages["dying midway"]
    until(lambda: any((folder / "shipped-mlflow").exists() for folder in waiting(midway.root)))
    dying.kill()
    midway.pause.unlink()
    for outage in stages.values():
        outage.wait()
    roots = {str(outage.root) for outage in stages.values()}
    until(lambda: not _shippers(roots), 120)
    for pid, limit in limits:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    dying.start()  # with its former content
    dying.wait()
    yield stages
    hanging.close()
    failing.shutdown()


def _shippers(roots: set[str]) -> list[psutil.Process]:
    """Shippers that work in one of the folders."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "pipeline.tracking.ship" in (process.info["cmdline"] or []) and process.info["cwd"] in roots
    ]


@pytest.mark.parametrize("name", ["absent", "hanging", "answering 500", "dying midway", "disk full"])
def test_stage_does_not_wait_and_nothing_is_lost(outages, server, monkeypatch, name):
    from mlflow.tracking import MlflowClient

    outage = outages[name]
    assert outage.within < 0.02 * outage.total, f"tracking took {outage.within:.2f} of {outage.total:.2f} s"
    assert outage.around < 1.0, f"opening and closing took {outage.around:.2f} s"
    assert len(waiting(outage.root)) == 1
    uri = outage.uri if name == "dying midway" else server.address
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "labelmint-digits")
    before = _runs(uri)
    assert sync_all(outage.root).startswith("1 of 1 runs shipped")
    assert not waiting(outage.root)
    assert sync_all(outage.root).startswith("0 of 0")
    after = _runs(uri)
    new = [run for run in after if run.info.run_id not in {each.info.run_id for each in before}]
    if name == "dying midway":  # the run had started before the server died, and is continued
        assert not new
        assert len(before) == 1
        new = after
    (run,) = new
    assert run.info.status == "FINISHED"
    client = MlflowClient(uri)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(STEPS))
    assert [point.value for point in history] == pytest.approx([1 / (step + 1) for step in range(STEPS)])
    assert len(client.list_artifacts(run.info.run_id, "images")) == 4
    assert "grid.png" in {each.path for each in client.list_artifacts(run.info.run_id)}


def _runs(uri: str):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name("labelmint-digits")
    return client.search_runs([found.experiment_id]) if found else []


def test_later_stage_names_the_reason(outages):
    """The first stage cannot know it yet. A later one says it in one line."""
    root = outages["hanging"].root
    (root / ".tracking" / "error").write_text("http://127.0.0.1:1: timed out")
    environment = clean_environment(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    command = [sys.executable, "-c", SHORT_STAGE]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == (
        "not in MLflow yet (http://127.0.0.1:1: timed out); "
        "nothing is lost: a later stage or `labelmint sync` ships it\n"
    )


def test_sync_reports_a_failure(outages):
    root = outages["absent"].root
    environment = clean_environment(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    subprocess.run([sys.executable, "-c", SHORT_STAGE], cwd=root, env=environment, check=True)
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    command = [sys.executable, "-m", "pipeline.cli.main", "sync"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == failures.UNREACHABLE
    assert done.stderr.count("\n") == 1
    assert "nothing is lost, try again later" in done.stderr
    assert waiting(root)


def test_lost_prefect_server_is_named_with_what_to_do():
    import httpx

    with pytest.raises(httpx.TransportError) as raised:
        httpx.get("http://127.0.0.1:9/api/health")
    message = failures.describe(raised.value)
    assert message.startswith("Prefect's server was lost (ConnectError: ")
    assert "run again to " in message
    assert "\n" not in message
