"""Real servers for tests: started once a session, on loopback ports that are free, and stopped at its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a person who has set nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "LABELMINT_")) or name == "LABELMINT_TEST_DATA"
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", **more}


class Pages:
    """`labelmint ui` in a folder."""

    def __init__(self, root: Path, **environment: str):
        self.root = root
        prefect, mlflow = free_port(), free_port()
        self.prefect, self.mlflow = f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}"
        command = ["ui", "--prefect-port", str(prefect), "--mlflow-port", str(mlflow)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *command],
            cwd=root,
            env=surroundings(PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.said = [self.process.stdout.readline() for _ in range(3)]
            assert "Ctrl-C" in self.said[2], self.said
        except BaseException:  # a person's Ctrl-C while they come up, too
            self.process.terminate()
            self.process.wait()
            raise

    def server(self, name: str) -> psutil.Process:
        """name: prefect or mlflow. Its process, whose id is that of its group; a listener may be a child of it."""
        (found,) = [each for each in psutil.Process(self.process.pid).children() if name in each.cmdline()]
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=60)[0].splitlines()
        return self.process.returncode


def check_no_other_page_gets_in(prefect: str) -> None:
    """The server at the address `prefect` answers no script of a page from elsewhere, but those of its own, and takes no form of either."""

    def allowed(origin: str) -> str | None:
        request = urllib.request.Request(f"{prefect}/api/health", headers={"Origin": origin})
        with urllib.request.urlopen(request) as answer:
            return answer.headers.get("Access-Control-Allow-Origin")

    assert allowed("http://evil.example.org") is None
    assert allowed(prefect) == prefect
    form = urllib.request.Request(f"{prefect}/api/flow_runs/filter", b"{}", {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(form)
    assert refused.value.code == 403 and b"CSRF" in refused.value.read()


def until(condition, seconds: float = 60.0):
    """The first true value of condition()."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")


class MlflowServer:
    """A plain `mlflow server` on one port, which can be killed and started again with the same content."""

    def __init__(self, root: Path, store: str | None = None):
        self.root, self.port, self.store = root, free_port(), store or f"sqlite:///{root}/server.db"
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store, "--workers", "1"]
        command += ["--artifacts-destination", str(self.root / "artifacts"), "--host", "127.0.0.1"]
        with (self.root / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                env=surroundings(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        from pipeline.flow.prefect_environment import answers

        until(lambda: answers(f"{self.address}/health"), 180)

    def pids(self) -> list[int]:
        own = psutil.Process(self.process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
