"""Real servers for tests, on free ports of the loopback interface."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from pipeline.probes import answers
from tests.conftest import ROOT

Value = TypeVar("Value")


def free_port() -> int:
    """A port that no program listens on.

    It is below those that systems give to outgoing connections: one of those could take it while a server
    is restarted.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def clean_environment(**more: str) -> dict[str, str]:
    """Environment of a user who has set nothing, with `more` added."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "LABELMINT_")) or name == "LABELMINT_TEST_DATA"
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", **more}


def until(condition: Callable[[], Value | None], seconds: float = 300.0) -> Value:
    """The first true value of `condition()`. Raises: AssertionError if there is none in time.

    seconds: by default enough to start any command on a busy machine.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")


class UiServers:
    """A running `labelmint ui` in a folder.

    prefect, mlflow: URLs of the servers. lines: what it has printed.
    """

    def __init__(self, root: Path, **environment: str):
        self.root = root
        prefect, mlflow = free_port(), free_port()
        self.prefect, self.mlflow = f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}"
        command = ["ui", "--prefect-port", str(prefect), "--mlflow-port", str(mlflow)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *command],
            cwd=root,
            env=clean_environment(PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.lines = [self.read_line() for _ in range(3)]
            assert "Ctrl-C" in self.lines[2], self.lines
        except BaseException:  # also Ctrl-C while they start
            self.process.terminate()
            self.process.wait()
            raise

    def read_line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def server(self, name: str) -> psutil.Process:
        """Process of prefect or mlflow, whose id is that of its group; the listener may be a child of it."""
        (found,) = [each for each in psutil.Process(self.process.pid).children() if name in each.cmdline()]
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        self.lines += self.process.communicate(timeout=180)[0].splitlines()
        return self.process.returncode


def assert_no_other_page_gets_in(prefect: str) -> None:
    """The server at the URL `prefect` allows no scripts but those of its own pages, and accepts no form."""

    def allowed_origin(origin: str) -> str | None:
        request = urllib.request.Request(f"{prefect}/api/health", headers={"Origin": origin})
        with urllib.request.urlopen(request) as answer:
            value: str | None = answer.headers.get("Access-Control-Allow-Origin")
            return value

    assert allowed_origin("http://evil.example.org") is None
    assert allowed_origin(prefect) == prefect
    form = urllib.request.Request(f"{prefect}/api/flow_runs/filter", b"{}", {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(form)
    assert refused.value.code == 403
    assert b"CSRF" in refused.value.read()


class MlflowServer:
    """A plain `mlflow server` on one port, which can be killed and started again with the same content."""

    def __init__(self, root: Path, store: str | None = None):
        self.root, self.port, self.store = root, free_port(), store or f"sqlite:///{root}/server.db"
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            self.store,
            "--workers",
            "1",
        ]
        command += ["--artifacts-destination", str(self.root / "artifacts"), "--host", "127.0.0.1"]
        with (self.root / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                env=clean_environment(
                    MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        until(lambda: answers(f"{self.address}/health"), 180)

    def pids(self) -> list[int]:
        own = psutil.Process(self.process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
