"""Probes of real servers."""

from __future__ import annotations

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.probes import answers, bypass_proxy, is_loopback, listens
from tests.system.servers import free_port


class _Health(BaseHTTPRequestHandler):
    """Answers 200 at /health and 404 elsewhere."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port():
    server = HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_answering_server(port, monkeypatch):
    monkeypatch.setattr(urllib.request, "_opener", None)  # an earlier one knows no proxy
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    assert not answers(f"http://127.0.0.1:{port}/health")
    bypass_proxy()
    assert listens("127.0.0.1", port)
    assert answers(f"http://127.0.0.1:{port}/health")
    assert not answers(f"http://127.0.0.1:{port}/other")


def test_absent_server():
    port = free_port()
    assert not listens("127.0.0.1", port)
    assert not answers(f"http://127.0.0.1:{port}/health")


def test_files_are_not_read(tmp_path):
    (tmp_path / "file").touch()
    assert not answers((tmp_path / "file").as_uri())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_is_loopback(host, expected):
    assert is_loopback(host) is expected
