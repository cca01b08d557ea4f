"""Credentials in URLs reach the server that they are for, and no message or link."""

from __future__ import annotations

import http.server
import threading

import pytest

from labelmint.data import download
from labelmint.runtime.errors import Unreachable


def test_password_is_sent_as_such(tmp_path):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.headers["Host"], self.headers["Authorization"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        assert download.download(f"http://user:p%40ss@{host}/x", tmp_path / "x").read_bytes() == b"ok"
        server.shutdown()
    assert requests == [(host, "Basic dXNlcjpwQHNz")]


def test_unreachable_mirror_is_named_without_its_password(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(download.MIRROR, "http://user:p4ss@127.0.0.1:9/sets")
    with pytest.raises(Unreachable) as raised:
        download.locate(["x.gz"], tmp_path, [])
    assert "http://***@127.0.0.1:9/sets/x.gz" in str(raised.value)
    assert "p4ss" not in str(raised.value) + capsys.readouterr().err


def test_links_to_mlflow_have_no_credentials(tmp_path, monkeypatch):
    from pipeline.flow.artifacts import mlflow_address

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:p4ss@127.0.0.1:9")
    assert mlflow_address(tmp_path) == "http://127.0.0.1:9"
