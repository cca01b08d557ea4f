"""`labelmint doctor`: each thing that may be amiss is brought about, found, and comes with what to do."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import doctor
from pipeline.doctor import Finding
from tests.conftest import ROOT
from tests.pipeline.test_cli import labelmint


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A project whose environment names no server."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


def setting(root: Path, old: str, new: str) -> None:
    text = (root / "params.yaml").read_text()
    assert text.count(old) == 1
    (root / "params.yaml").write_text(text.replace(old, new))


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    assert bool(finding.fix) == (finding.state != "ok")
    return finding


def dead_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def serving(path: str) -> Iterator[int]:
    """A server that answers 200 at `path` and 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestVersions:
    def test_packages_as_locked(self, root):
        version = metadata.version("numpy")
        (root / "requirements.lock").write_text(f"numpy=={version} \\\n    --hash=sha256:00\nappnope==1.0 ; sys_platform == 'never' \\\n")  # fmt: skip
        assert only(doctor.packages(root)).says.startswith("1 as locked")

    def test_packages_that_are_missing_or_other(self, root):
        (root / "requirements.lock").write_text("numpy==1.0.0 \\\nNo_Such.Thing==2 \\\n")
        found = only(doctor.packages(root))
        assert found.state == "problem" and found.fix.endswith("make env")
        assert "1 missing (no-such-thing)" in found.says and f"numpy {metadata.version('numpy')}, locked 1.0.0" in found.says  # fmt: skip

    def test_python(self, root, monkeypatch):
        assert only(doctor.python(root)).state == "note"  # not this project's own environment
        monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 4))
        found = only(doctor.python(root))
        assert found.state == "problem" and found.says == "3.10.4 is older than 3.11"


class TestMachine:
    def test_disk(self, root, monkeypatch):
        assert only(doctor.disk(root)).says.endswith(f"GB free at {root}")
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2e9}))
        assert only(doctor.disk(root)).state == "problem"

    def test_a_card_that_torch_cannot_use(self, root, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(doctor, "nvidia_gpus", lambda: [SimpleNamespace(name="NVIDIA H100")])
        monkeypatch.setattr(torch.version, "cuda", None)
        found = only(doctor.gpu(root))
        assert found.state == "problem" and "a build for CPUs" in found.says and "UV_TORCH_BACKEND" in found.fix
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        assert "renew the driver" in only(doctor.gpu(root)).fix

    def test_a_card_that_is_asked_for_and_is_not_there(self, root, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(doctor, "nvidia_gpus", list)
        assert only(doctor.gpu(root)).state == "ok"
        setting(root, "device: auto ", "device: cuda ")
        assert "compute.device: auto" in only(doctor.gpu(root)).fix


class TestProject:
    def test_params(self, root):
        assert only(doctor.params(root)).says == "digits, 4 arms of dcgan"
        setting(root, "  epochs: 7 ", "  epoch: 7 ")
        found = only(doctor.params(root))
        assert found.state == "problem" and "did you mean 'epochs'" in found.says
        assert "raw" not in str(list(doctor.raw_data(root)))  # what needs settings keeps quiet
        assert only(doctor.weights(root)).state == "ok"

    def test_weights(self, root, monkeypatch):
        setting(root, "  weights: none ", "  weights: imagenet ")
        found = only(doctor.weights(root))
        assert found.state == "note" and "efficientnet-b0-355c32eb.pth is not in data/raw" in found.says
        (root / "mirror").mkdir()
        (root / "mirror" / "efficientnet-b0-355c32eb.pth").touch()
        monkeypatch.setenv("LABELMINT_MIRROR", str(root / "mirror"))
        assert only(doctor.weights(root)).state == "ok"
        setting(root, "  weights: imagenet ", "  weights: mine.pth ")
        assert only(doctor.weights(root)).state == "problem"

    def test_data(self, root, monkeypatch):
        assert only(doctor.raw_data(root)).says == "digits"
        setting(root, "  name: digits ", "  name: mine ")
        setting(root, "  format: null ", "  format: imagefolder ")
        setting(root, "  path: null ", "  path: data/raw/mine.tar ")
        found = only(doctor.raw_data(root))
        assert found.state == "problem" and found.fix == "labelmint import DIR --name mine --force"
        monkeypatch.setenv("LABELMINT_MIRROR", str(root / "nowhere"))
        assert "is no folder" in only(doctor.raw_data(root)).says

    def test_records_that_wait(self, root):
        assert only(doctor.records(root)).state == "ok"
        (root / ".tracking" / "1-prepare-7").mkdir(parents=True)
        (root / ".tracking" / "1-prepare-7" / "run.json").touch()
        found = only(doctor.records(root))
        assert "1 runs have not reached MLflow" in found.says and found.fix.startswith("labelmint sync")

    def test_dvc(self, root):
        assert "no DVC project" in only(doctor.dvc(root)).says


class TestServers:
    def test_those_that_are_named(self, root, monkeypatch):
        assert list(doctor.servers(root)) == []
        with serving("/health") as port:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
            assert only(doctor.servers(root)).state == "ok"
        found = only(doctor.servers(root))
        assert found.state == "note" and "does not answer" in found.says and "labelmint sync" in found.fix

    def test_ports(self, root, monkeypatch):
        with serving("/health") as ours, serving("/other") as other:
            names = {ours: ("MLflow", "/health"), other: ("Prefect", "/api/health"), dead_port(): ("X", "/")}
            monkeypatch.setattr(doctor, "_PORTS", names)
            found = list(doctor.ports(root))
        assert [each.state for each in found] == ["ok", "note", "ok"]
        assert found[0].says == "MLflow answers" and "not Prefect listens" in found[1].says and found[2].says.startswith("free")  # fmt: skip

    def test_a_cluster(self, root):
        assert list(doctor.cluster(root)) == []
        setting(root, "  cluster: null ", f"  cluster: tcp://127.0.0.1:{dead_port()} ")
        assert only(doctor.cluster(root)).state == "problem"


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(root, monkeypatch):
    def broken(_: Path) -> Iterator[Finding]:
        raise ZeroDivisionError("by hand")

    for name in ("gpu", "dvc", "packages"):
        monkeypatch.setattr(doctor, name, broken)
    found = doctor.examine(root)
    assert [each.subject for each in found if each.state == "problem"] == ["broken"] * 3
    assert "ZeroDivisionError: by hand" in next(each.says for each in found if each.subject == "broken")
    assert {"disk", "params.yaml", "records"} <= {each.subject for each in found}


def test_colours_on_a_terminal_and_not_with_no_color(monkeypatch, capsys):
    found = [Finding("disk", "ok", "76 GB free"), Finding("GPU", "note", "old", "renew it")]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    doctor.show(found)
    assert "\x1b[32mok" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    doctor.show(found)
    told = capsys.readouterr().out
    assert "\x1b[" not in told and "ok      disk  76 GB free\n" in told and "-> renew it" in told


def test_the_command(root):
    """In a real DVC project, with one thing amiss: its exit code says so, and so does each line."""
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    setting(root, "  cluster: null ", f"  cluster: tcp://127.0.0.1:{dead_port()} ")
    told = labelmint(root, "doctor", "--json")
    found = {each["subject"]: each for each in json.loads(told.stdout)}
    assert told.returncode == 1 and found["cluster"]["state"] == "problem"
    assert found["DVC"]["state"] == "note" and found["DVC"]["fix"] == "make repro"
    assert "prepare" in found["DVC"]["says"]
    (root / ".dvc" / "tmp" / "rwlock").write_text("")
    damaged = only(doctor.dvc(root))
    assert damaged.state == "problem" and "rm .dvc/tmp/rwlock" in damaged.fix
