"""Prefect's and MLflow's servers with their state in the project, on the loopback interface unless told otherwise: for `labelmint ui`,
and Prefect's for one run that finds none."""

from __future__ import annotations

import atexit
import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from labelmint.runtime.errors import InputError
from pipeline.flow import prefect_environment
from pipeline.flow.prefect_environment import STATE, Addresses
from pipeline.tracking.spool import own_store

HOST = "127.0.0.1"
# What a person may ask for, to be warned of.
_EVERYWHERE = ("0.0.0.0", "::")  # nosec B104
_START_SECONDS = 300.0  # the first start makes the databases' tables
_STOP_SECONDS = 15.0
_MOST_DEATHS = 5
_DEATHS_WITHIN_SECONDS = 300.0  # a start takes ten seconds and more, so that five that fail take more than a minute


@dataclass(frozen=True)
class Server:
    """host: where it listens. health: path that answers 200 once it serves. option: by which its port is set."""

    name: str
    host: str
    port: int
    option: str
    health: str
    command: list[str]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """For this machine."""
        host = HOST if self.host in _EVERYWHERE else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def serve(root: Path, prefect_port: int, mlflow_port: int, say: Callable[[str], None], host: str = HOST) -> None:
    """Until Ctrl-C or SIGTERM. One that dies is started again, while the other goes on.

    Raises: InputError when a port is taken; RuntimeError when a server does not come up, or when both were given up.
    """
    servers = [_prefect(root, host, prefect_port), _mlflow(root, host, mlflow_port)]
    if found := prefect_environment.running(root):
        raise InputError(f"already running: Prefect at {found.prefect}, MLflow at {found.mlflow}")
    for server in servers:
        _check_free(server)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        processes = [stack.enter_context(_Running(root, server)) for server in servers]
        for process in processes:
            process.wait_until_it_serves()
        stack.callback(prefect_environment.remember, root, None)
        prefect_environment.remember(root, Addresses(*(server.address for server in servers)))
        for server in servers:
            say(f"{server.name:8} {server.address}")
        if not _is_loopback(host):
            say(open_to_others(host, prefect_port, mlflow_port))
        say(f"state and logs: {root / STATE} and {root / 'mlflow.db'}; Ctrl-C stops both")
        while True:
            time.sleep(0.5)
            for process in processes:
                process.revive(say)
            if all(process.given_up for process in processes):
                raise RuntimeError("both servers end again and again; nothing is served")
    say("stopped")


class Temporary:
    """A Prefect server without pages for a run that finds no other, from its making until this process ends.

    Prefect would start one itself, but only after it has imported the server's code here too. This one comes up while this process
    imports what it needs, and ends with it also when it is killed. Make it before Prefect is imported: $PREFECT_API_URL names it.
    """

    def __init__(self, root: Path):
        with socket.socket() as trial:
            trial.bind((HOST, 0))
            port = trial.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.flow.temporary_server", HOST, str(port)]
        server = Server("Prefect", HOST, port, "", "/api/health", command, _against_other_pages(HOST, port))
        self._running = _Running(root, server)
        # Called last, since it is registered first: Prefect sends what it has left when the interpreter ends.
        atexit.register(self._running.__exit__)
        os.environ["PREFECT_API_URL"] = f"{self._running.server.address}/api"
        os.environ["PREFECT_UI_URL"] = ""  # or Prefect would print where its pages are, which there are none of

    def wait(self) -> None:
        """Until it serves. Raises: RuntimeError when it does not come up."""
        self._running.wait_until_it_serves()


class _Running:
    """One server process, stopped at the end of the block.

    deaths: when it ended lately, by the monotonic clock. again: when it is to be started again, if it has ended.
    """

    def __init__(self, root: Path, server: Server):
        self.root, self.server, self.log = root, server, root / STATE / f"{server.name.lower()}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.deaths: list[float] = []
        self.again: float | None = None
        self.given_up = False
        self.process = self._start("w")

    def _start(self, mode: str) -> subprocess.Popen[bytes]:
        with self.log.open(mode) as log:
            return subprocess.Popen(
                self.server.command,
                cwd=self.root,
                env={**os.environ, **self.server.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # it is stopped here, whole, and not by the terminal
            )

    def __enter__(self) -> _Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.again is not None or self.given_up:
            return  # nothing of it is left, and its number may be another's by now
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not prefect_environment.answers(f"{self.server.address}{self.server.health}"):
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.server.name} did not come up within {_START_SECONDS:.0f} s; see {self.log}")
            time.sleep(0.1)

    def check(self) -> None:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self._end()}; see {self.log}")

    def revive(self, say: Callable[[str], None]) -> None:
        """Start it again where it has ended, a little later each time; say so, and say when it is given up."""
        if self.given_up or self.process.poll() is None:
            return
        now = time.monotonic()
        if self.again is None:
            with suppress(ProcessLookupError):  # a child of its own that is left would hold the port
                os.killpg(self.process.pid, signal.SIGKILL)
            self.deaths = [*(each for each in self.deaths if now - each < _DEATHS_WITHIN_SECONDS), now]
            self.given_up = len(self.deaths) >= _MOST_DEATHS
            if self.given_up:
                often = f"{_MOST_DEATHS} times within {_DEATHS_WITHIN_SECONDS / 60:.0f} minutes"
                print(f"error: {self._end()}, {often}; it is not started again; see {self.log}", file=sys.stderr, flush=True)  # fmt: skip
                return
            pause = 2.0 ** (len(self.deaths) - 1)
            say(f"{self._end()}; starting it again in {pause:.0f} s")
            self.again = now + pause
        elif now >= self.again:
            self.again, self.process = None, self._start("a")

    def _end(self) -> str:
        """What became of it, in a few words."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()] or ["no word"]
        return f"{self.server.name} ended with {self.process.returncode} ({lines[-1].strip()[:200]})"


def open_to_others(host: str, prefect_port: int, mlflow_port: int) -> str:
    """What to do about it."""
    return (
        f"warning: listening on {host}: whoever reaches this machine can start runs, and read and delete results. Neither server asks who "
        f"calls. Better: leave --host out and reach them by `ssh -L {prefect_port}:{HOST}:{prefect_port} -L {mlflow_port}:{HOST}:{mlflow_port} "
        "THIS_MACHINE`, or put a proxy with TLS and passwords in front (docs/operations.md, SECURITY.md). Prefect alone: set "
        "PREFECT_SERVER_API_AUTH_STRING=user:password here and PREFECT_API_AUTH_STRING=user:password where runs start"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _prefect(root: Path, host: str, port: int) -> Server:
    prefect_environment.prepare(root, server=False)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    made = Server("Prefect", host, port, "--prefect-port", "/api/health", command, {})
    # A person's PREFECT_API_URL is meant for runs; its own pages must ask this server.
    own = {
        "PREFECT_API_URL": f"{made.address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{made.address}/api" if _is_loopback(host) else "/api",
    }
    return replace(made, environment=own | _against_other_pages(host, port))


def _against_other_pages(host: str, port: int) -> dict[str, str]:
    """Prefect would answer the scripts of any web page that is open in a browser on this machine, and take a form that it sends."""
    origins = ",".join(f"http://{name}:{port}" for name in _names(host))
    return _unless_set(PREFECT_SERVER_CORS_ALLOWED_ORIGINS=origins, PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true")


def _mlflow(root: Path, host: str, port: int) -> Server:
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--artifacts-destination", str((root / "mlartifacts").resolve())]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    own = _unless_set(
        # Not on the command line, which others on the machine can read: a database's address may hold a password.
        MLFLOW_BACKEND_STORE_URI=f"sqlite:///{own_store(root)}",
        MLFLOW_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        # Its default takes 10.* and 192.168.*, which the name 10.example.org matches too.
        MLFLOW_SERVER_ALLOWED_HOSTS=",".join(pattern for name in _names(host) for pattern in (name, f"{name}:*")),
    )
    return Server("MLflow", host, port, "--mlflow-port", "/health", command, own)


def _names(host: str) -> list[str]:
    """By which browsers may call a server that listens on `host`."""
    names = ["127.0.0.1", "localhost"]
    if host in _EVERYWHERE:
        import psutil

        cards = [address.address for card in psutil.net_if_addrs().values() for address in card]
        names += [socket.gethostname(), socket.getfqdn(), *(each for each in cards if each.count(".") == 3)]
    elif not _is_loopback(host):
        names += [host]
    return list(dict.fromkeys(names))


def _unless_set(**values: str) -> dict[str, str]:
    """A person's own settings come first."""
    return {name: os.environ.get(name) or value for name, value in values.items()}


def _check_free(server: Server) -> None:
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((server.host, server.port))
        except socket.gaierror as error:
            raise InputError(f"--host {server.host}: no address of this machine ({error.strerror})") from error
        except (OverflowError, UnicodeError) as error:
            raise InputError(f"{server.option} {server.port} or --host {server.host!r} cannot be ({error})") from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise InputError(f"--host {server.host}: no address of this machine") from error
            raise InputError(
                f"port {server.port} for {server.name} is taken ({error.strerror}); stop what listens there, or choose another with {server.option}"
            ) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
