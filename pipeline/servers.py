"""`labelmint ui`: Prefect's and MLflow's servers on the loopback interface, with their state in the project."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipeline import surroundings
from pipeline.surroundings import STATE, Addresses
from stages.prepare.errors import InputError

HOST = "127.0.0.1"
_START_SECONDS = 300.0  # the first start makes the databases' tables
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Server:
    """health: path that answers 200 once it serves. option: by which its port is set."""

    name: str
    port: int
    option: str
    health: str
    command: list[str]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"


def serve(root: Path, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> None:
    """Until Ctrl-C or SIGTERM. Raises: InputError when a port is taken; RuntimeError when a server does not come up or ends."""
    servers = [_prefect(root, prefect_port), _mlflow(root, mlflow_port)]
    if found := surroundings.running(root):
        raise InputError(f"already running: Prefect at {found.prefect}, MLflow at {found.mlflow}")
    for server in servers:
        _check_free(server)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        processes = [stack.enter_context(_Running(root, server)) for server in servers]
        for process in processes:
            process.wait_until_it_serves()
        stack.callback(surroundings.remember, root, None)
        surroundings.remember(root, Addresses(*(server.address for server in servers)))
        for server in servers:
            say(f"{server.name:8} {server.address}")
        say(f"state and logs: {root / STATE} and {root / 'mlflow.db'}; Ctrl-C stops both")
        while True:
            time.sleep(0.5)
            for process in processes:
                process.check()
    say("stopped")


class _Running:
    """One server process, stopped at the end of the block."""

    def __init__(self, root: Path, server: Server):
        self.server, self.log = server, root / STATE / f"{server.name.lower()}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                server.command,
                cwd=root,
                env={**os.environ, **server.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it is stopped here, whole, and not by the terminal
            )

    def __enter__(self) -> _Running:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not surroundings.answers(f"{self.server.address}{self.server.health}"):
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.server.name} did not come up within {_START_SECONDS:.0f} s; see {self.log}")
            time.sleep(0.3)

    def check(self) -> None:
        if self.process.poll() is not None:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()] or ["no word"]
            raise RuntimeError(
                f"{self.server.name} ended with {self.process.returncode} ({lines[-1].strip()[:200]}); see {self.log}"
            )


def _prefect(root: Path, port: int) -> Server:
    surroundings.prepare(root, server=False)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    # A person's PREFECT_API_URL is meant for runs; its own pages must ask this server.
    own = {"PREFECT_API_URL": f"http://{HOST}:{port}/api", "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api"}
    return Server("Prefect", port, "--prefect-port", "/api/health", command, own)


def _mlflow(root: Path, port: int) -> Server:
    store = os.environ.get("MLFLOW_BACKEND_STORE_URI") or f"sqlite:///{(root / 'mlflow.db').resolve()}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--artifacts-destination", str((root / "mlartifacts").resolve())]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server("MLflow", port, "--mlflow-port", "/health", command, {name: os.environ.get(name, value) for name, value in own.items()})  # fmt: skip


def _check_free(server: Server) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, server.port))
        except OSError as error:
            raise InputError(
                f"port {server.port} for {server.name} is taken ({error.strerror}); stop what listens there, or choose another with {server.option}"
            ) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
