"""A watched run of the flow with both servers: who listens where, who is contacted, where secrets end up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.system.security.closed_network import PROBE
from tests.system.security.watched_run import SECRET_IN_URL, SECRETS, WatchedRun, watched
from tests.system.servers import assert_no_other_page_gets_in


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = WatchedRun(tmp_path_factory.mktemp("watched"))
    yield run
    run.ui.stop()


def test_run_completes_and_is_tracked_with_credentials(run):
    assert "6 ran" in run.output, run.output[-3000:]
    assert run.ui.mlflow.split("://")[1] in run.output
    assert "shipped to" in run.output


def test_no_other_machine_is_contacted(run):
    assert not run.record.exists(), run.record.read_text()


def test_servers_listen_on_loopback_only(run):
    processes = [psutil.Process(run.ui.process.pid)]
    processes += processes[0].children(recursive=True)
    connections = [each for process in processes for each in process.net_connections()]
    assert {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["evil.example.org", "10.evil.example.org", "192.168.evil.example.org"])
def test_mlflow_answers_to_its_own_names_only(run, host):
    """Else a page in a browser could read it, under a name that its author points to this machine."""
    address = f"{run.ui.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}))
    assert refused.value.code == 403


def test_prefect_lets_no_other_page_in(run):
    assert_no_other_page_gets_in(run.ui.prefect)


def content(path: Path) -> bytes:
    """Content of a file; nothing of one that has ended meanwhile, such as a database's journal."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_secret_is_stored_or_printed(run):
    """In params, tags, artifacts, logs, databases, the spool, DVC's files."""
    files = [path for path in run.project.root.rglob("*") if path.is_file()]
    assert {"dvc.lock", "mlflow.db", "prefect.log", "mlflow.log"} <= {path.name for path in files}
    assert any(path.suffix == ".db" and "prefect" in str(path) for path in files)
    for secret in (*SECRETS.values(), SECRET_IN_URL):
        assert secret not in run.output
        assert not [path for path in files if secret.encode() in content(path)]


def test_nothing_leaves_a_machine_whose_network_is_closed(tmp_path):
    """Whatever program sends it, while the record above has Python's connections only."""
    closed = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    probe = [*closed, "test", "-w", "/dev/net/tun"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this system allows no network namespace: unshare --net, /dev/net/tun")
    command = [*closed, sys.executable, "-m", "tests.system.security.closed_network", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert "6 ran" in result["output"], result
    assert result["sent"] == [PROBE]


def test_record_contains_an_attempt(tmp_path):
    code = (
        "import socket\n"
        "connection = socket.socket()\n"
        "connection.setblocking(False)\n"
        "try: connection.connect(('192.0.2.1', 80))\n"
        "except OSError: pass"
    )
    subprocess.run([sys.executable, "-c", code], env=watched(tmp_path / "record"), check=True)
    assert "socket.connect 192.0.2.1" in (tmp_path / "record").read_text()
