"""Checks of the packages that the project depends on: `make lint`, `make sbom`, the locks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BAD = {
    "id": "PYSEC-2099-1",
    "affected": [
        {
            "package": {"name": "numpy", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


def audit(lock: Path, service: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), str(lock), "-s", "osv", "--osv-url", service]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@contextmanager
def osv(status: int = 200):
    """A vulnerability service with OSV's protocol and one advisory, for numpy."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"vulns": [_BAD]} if asked["package"]["name"] == "numpy" else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "requirements.lock"
    path.write_text(f"numpy==2.0.0 --hash=sha256:{'0' * 64}\nrich==13.7.0 --hash=sha256:{'0' * 64}\n")
    return path


def test_a_vulnerable_package_fails_the_audit_and_is_named(lock):
    with osv() as service:
        done = audit(lock, service)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        "numpy 2.0.0: PYSEC-2099-1, fixed in 9.9",
        "audit: 2 packages looked up, 1 with known vulnerabilities",
    ]


def test_lock_without_known_vulnerabilities_passes(lock):
    lock.write_text(lock.read_text().splitlines()[1] + "\n")
    with osv() as service:
        done = audit(lock, service)
    assert (done.returncode, done.stdout) == (
        0,
        "audit: 1 packages looked up, 0 with known vulnerabilities\n",
    )


def test_unreachable_or_broken_service_skips_the_audit_in_one_line(lock):
    skipped = (0, "audit skipped: the vulnerability service cannot be reached\n", "")
    done = audit(lock, "http://127.0.0.1:9/v1/query")
    assert (done.returncode, done.stdout, done.stderr) == skipped
    with osv(status=503) as service:
        done = audit(lock, service)
    assert (done.returncode, done.stdout, done.stderr) == skipped


def test_unreadable_lock_is_an_error(tmp_path):
    done = audit(tmp_path / "absent.lock", "http://127.0.0.1:9/v1/query")
    assert done.returncode == 2
    assert "absent.lock" in done.stderr and "Traceback" not in done.stderr


def test_the_bill_of_materials_lists_what_is_installed(tmp_path):
    """By the Makefile's own command, into a folder of the test."""
    make = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "sbom",
    ]  # within `make test`, it names its folders otherwise
    command = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    target = tmp_path / "sbom.json"
    line = (
        command.splitlines()[-1]
        .replace("-o sbom.json", f"-o {target}")
        .replace(".venv/bin/python", sys.executable)
    )
    subprocess.run(["bash", "-c", line], cwd=ROOT, check=True, timeout=240)
    bill = json.loads(target.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "labelmint")
    listed = {each["name"]: each["version"] for each in bill["components"]}
    assert {name: listed.get(name) for name in ("torch", "dvc", "prefect", "mlflow")} == {
        name: version(name) for name in ("torch", "dvc", "prefect", "mlflow")
    }


def test_bandit_finds_nothing_in_our_code():
    bandit = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive"]
    command = [*bandit, "labelmint", "stages", "pipeline", "benchmarks", ".ci"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_build_without_cuda_has_hashes_for_all_but_torch(tmp_path):
    """Runs the command of `make env` that picks what is installed by hash."""
    (tmp_path / ".venv").mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    make = ["make", "--dry-run", ".venv/.ready", "UV_TORCH_BACKEND=cpu"]
    commands = subprocess.run(
        make, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    subprocess.run(
        next(line for line in commands if line.startswith("awk ")), shell=True, cwd=tmp_path, check=True
    )
    kept = (tmp_path / ".venv" / "hashed.lock").read_text()
    names = {line.split("==")[0] for line in kept.splitlines() if "==" in line}
    every = {
        line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line
    }
    left_out = every - names
    assert {"torch", "torchvision"} <= left_out and {"torch-fidelity", "nvidia-ml-py", "numpy"} <= names
    assert all(name.startswith(("torch", "triton", "cuda-", "nvidia-")) for name in left_out), left_out
    assert kept.count("--hash=") >= len(names)
    by_hash = next(line for line in commands if "hashed.lock" in line and "uv pip install" in line)
    assert "--require-hashes" in by_hash and "--no-deps" in by_hash
