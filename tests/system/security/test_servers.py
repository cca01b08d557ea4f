"""One run of the flow with both servers, watched: who listens where, who is called, and where secrets end up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest

from labelmint.data.download import public
from pipeline.flow.artifacts import mlflow_address
from pipeline.flow.servers import _mlflow, _prefect, open_to_others
from pipeline.tracking import spool
from tests.conftest import ROOT
from tests.system.security.closed_network import PROBE
from tests.system.security.watched_run import IN_ADDRESS, SECRETS, Watched, watched
from tests.system.servers import check_no_other_page_gets_in


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = Watched(tmp_path_factory.mktemp("watched"))
    yield made
    made.pages.stop()


@pytest.mark.slow
class TestRun:
    def test_it_ran(self, run):
        assert "6 ran" in run.said, run.said[-3000:]

    def test_nobody_outside_is_called(self, run):
        assert not run.record.exists(), run.record.read_text()

    def test_servers_listen_on_this_machine_alone(self, run):
        family = [psutil.Process(run.pages.process.pid)]
        family += family[0].children(recursive=True)
        listening = {each.laddr.ip for process in family for each in process.net_connections() if each.status == psutil.CONN_LISTEN}  # fmt: skip
        assert listening == {"127.0.0.1"}

    @pytest.mark.parametrize("host", ["evil.example.org", "10.evil.example.org", "192.168.evil.example.org"])
    def test_mlflow_answers_only_to_its_own_names(self, run, host):
        """Or a page that is open in a browser could read it, by a name that it lets point here."""
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{run.pages.mlflow}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host}))  # fmt: skip
        assert refused.value.code == 403

    def test_prefect_lets_no_other_page_in(self, run):
        check_no_other_page_gets_in(run.pages.prefect)

    def test_no_secret_is_written_down_or_said(self, run):
        """In params, tags, artifacts, logs, databases, the spool, DVC's files."""
        files = [path for path in run.project.root.rglob("*") if path.is_file()]
        assert {"dvc.lock", "mlflow.db", "prefect.log", "mlflow.log"} <= {path.name for path in files}
        assert any(path.suffix == ".db" and "prefect" in str(path) for path in files)
        for secret in (*SECRETS.values(), IN_ADDRESS):
            assert secret not in run.said
            assert not [path for path in files if secret.encode() in path.read_bytes()]

    def test_credentials_reach_mlflow_all_the_same(self, run):
        assert run.said.count(run.pages.mlflow.split("://")[1]) and "shipped to" in run.said


@pytest.mark.slow
def test_nothing_leaves_a_machine_whose_network_is_closed(tmp_path):
    """Whatever sends it: not only Python, which the watch above sees."""
    closed = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if not shutil.which("unshare") or subprocess.run([*closed, "test", "-w", "/dev/net/tun"], capture_output=True).returncode:  # fmt: skip
        pytest.skip("no network of its own to be had here: unshare --net, /dev/net/tun")
    command = [*closed, sys.executable, "-m", "tests.system.security.closed_network", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert "6 ran" in told["said"] and told["sent"] == [PROBE], told


def test_the_watch_sees_an_attempt(tmp_path):
    code = "import socket; s = socket.socket(); s.setblocking(False)\ntry: s.connect(('192.0.2.1', 80))\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], env=watched(tmp_path / "record"), check=True)
    assert "socket.connect 192.0.2.1" in (tmp_path / "record").read_text()


class TestHost:
    @pytest.mark.parametrize("make", [_prefect, _mlflow])
    def test_loopback_by_default_and_what_was_asked_for(self, tmp_path, monkeypatch, make):
        from pipeline.flow.servers import HOST

        monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
        for host in (HOST, "0.0.0.0"):
            command = make(tmp_path, host, 4000).command
            assert command[command.index("--host") + 1] == host
        assert HOST == "127.0.0.1" and make(tmp_path, "0.0.0.0", 4000).address == "http://127.0.0.1:4000"

    def test_mlflow_checks_whom_it_is_called_wherever_it_listens(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MLFLOW_SERVER_ALLOWED_HOSTS", raising=False)
        for host in ("127.0.0.1", "0.0.0.0"):
            allowed = _mlflow(tmp_path, host, 5000).environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
            assert "*" not in allowed and "127.0.0.1:*" in allowed
        assert os.uname().nodename in allowed

    def test_a_password_of_the_database_is_on_no_command_line(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"postgresql://user:{IN_ADDRESS}@127.0.0.1/mlflow")
        assert IN_ADDRESS not in " ".join(_mlflow(tmp_path, "127.0.0.1", 5000).command)

    def test_the_way_to_passwords_is_told(self):
        said = open_to_others("0.0.0.0", 4200, 5000)
        assert "ssh -L 4200:127.0.0.1:4200 -L 5000:127.0.0.1:5000" in said and "PREFECT_SERVER_API_AUTH_STRING" in said
        assert "SECURITY.md" in said and "\n" not in said


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("https://user:pass@host:5000/path", "https://***@host:5000/path"),
            ("https://token@host", "https://***@host"),
            ("https://host/a?X-Amz-Signature=abc#d", "https://host/a?***"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("postgresql+psycopg2://user:p%40ss@host/db", "postgresql+psycopg2://***@host/db"),
            ("http://[bad", "an address that cannot be read"),
        ],
    )
    def test_are_shown_without_credentials(self, address, shown):
        assert public(address) == shown

    def test_errors_of_mlflow_lose_them_too(self, tmp_path, monkeypatch):
        uri = "http://user:p%40ss-w0rd@127.0.0.1:9"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
        said = spool.without_credentials(tmp_path, ValueError(f"{uri}/api failed\nwith p@ss-w0rd and t0ken"))
        assert said == "http://***@127.0.0.1:9/api failed with *** and ***"
        assert mlflow_address(tmp_path) == "http://127.0.0.1:9"

    def test_a_password_is_sent_as_one_and_not_asked_of_the_network(self, tmp_path):
        import http.server
        import threading

        from labelmint.data import download

        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.headers["Host"], self.headers["Authorization"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None: ...

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            place = f"127.0.0.1:{server.server_port}"
            assert download.download(f"http://user:p%40ss@{place}/x", tmp_path / "x").read_bytes() == b"ok"
            server.shutdown()
        assert asked == [(place, "Basic dXNlcjpwQHNz")]

    def test_a_mirror_with_a_password(self, tmp_path, monkeypatch, capsys):
        from labelmint.data import download
        from labelmint.runtime.errors import Unreachable

        monkeypatch.setenv(download.MIRROR, "http://user:p4ss@127.0.0.1:9/sets")
        with pytest.raises(Unreachable) as raised:
            download.locate(["x.gz"], tmp_path, [])
        assert "p4ss" not in str(raised.value) + capsys.readouterr().err and "http://***@127.0.0.1:9/sets/x.gz" in str(raised.value)  # fmt: skip
