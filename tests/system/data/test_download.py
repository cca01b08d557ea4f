"""Downloads from a file server on loopback."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from labelmint.data import download
from labelmint.runtime.errors import InputError, Unreachable


class Files(http.server.SimpleHTTPRequestHandler):
    """File server that supports `Range`, and cuts its first answer after `cut` bytes."""

    cut = 0
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        content, start = path.read_bytes(), 0
        self.ranges.append(self.headers.get("Range"))
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if type(self).cut:
            body, type(self).cut = body[: type(self).cut], 0
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """(base URL, folder) of the server."""
    folder = tmp_path / "served"
    folder.mkdir()
    Files.cut = 0
    Files.ranges.clear()
    handler = functools.partial(Files, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_raw_data_come_before_the_mirror_and_the_address(tmp_path, served, monkeypatch):
    url, folder = served
    raw, mirror = tmp_path / "raw", tmp_path / "mirror"
    (folder / "x.gz").write_text("published")
    assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "published"
    (raw / "MNIST" / "x.gz").unlink()
    (mirror / "MNIST").mkdir(parents=True)
    (mirror / "MNIST" / "x.gz").write_text("mirrored")
    monkeypatch.setenv(download.MIRROR, str(mirror))
    assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "mirrored"
    (raw / "MNIST" / "x.gz").write_text("own")
    assert download.locate(["MNIST/x.gz"], raw, [f"{url}/x.gz"]).read_text() == "own"


def test_mirror_may_be_an_address(tmp_path, served, monkeypatch):
    url, folder = served
    (folder / "MNIST").mkdir()
    (folder / "MNIST" / "x").write_text("mirrored")
    monkeypatch.setenv(download.MIRROR, url + "/")
    assert download.locate(["MNIST/x"], tmp_path / "raw", []).read_text() == "mirrored"


def test_resumes_an_interrupted_download(tmp_path, served):
    url, folder = served
    content = bytes(range(256)) * 40
    (folder / "x").write_bytes(content)
    Files.cut = 1000
    path = download.download(f"{url}/x", tmp_path / "x")
    assert path.read_bytes() == content
    assert Files.ranges == [None, "bytes=1000-"]
    assert not path.with_name("x.part").exists()


def test_restarts_when_the_part_is_too_long(tmp_path, served):
    url, folder = served
    (folder / "x").write_text("short")
    (tmp_path / "x.part").write_text("longer than the file")
    assert download.download(f"{url}/x", tmp_path / "x").read_text() == "short"


def test_names_everything_that_was_tried(tmp_path, served, monkeypatch):
    monkeypatch.setenv(download.MIRROR, str(tmp_path / "mirror"))
    with pytest.raises(Unreachable) as raised:
        download.locate(["a/x"], tmp_path / "raw", [f"{served[0]}/x", "http://127.0.0.1:9/x"])
    for part in ("raw/a/x", "mirror/a/x", "404", "refused", download.MIRROR):
        assert part in str(raised.value)


def test_a_missing_file_is_the_users_error(tmp_path, served):
    with pytest.raises(InputError) as raised:
        download.locate(["x"], tmp_path / "raw", [f"{served[0]}/x"])
    assert not isinstance(raised.value, Unreachable)
