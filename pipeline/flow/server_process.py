"""A server that runs as a child process and is restarted when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.flow.prefect_environment import STATE
from pipeline.probes import answers, bypass_proxy

LOOPBACK = "127.0.0.1"
# The addresses that listen on all interfaces, of which the user is warned.
ALL_INTERFACES = ("0.0.0.0", "::")  # nosec B104
_START_SECONDS = 300.0  # the first start creates the tables of the databases
_STOP_SECONDS = 15.0
_MAX_EXITS = 5
_EXITS_WITHIN_SECONDS = 300.0  # a start takes ten seconds and more, so five failing ones take over a minute


@dataclass(frozen=True)
class Server:
    """A server to start.

    host: address that it listens on. port_option: the command-line option that sets its port. health_path:
    answers 200 once it serves. environment: variables added to those of this process.
    """

    name: str
    host: str
    port: int
    port_option: str
    health_path: str
    command: list[str]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """URL for clients on this machine."""
        host = LOOPBACK if self.host in ALL_INTERFACES else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class ServerProcess:
    """The process of one server, stopped at the end of the block.

    exit_times: when it has ended lately, by the monotonic clock. restart_at: when to start it again, or None
    while it runs. given_up: it has ended too often and is not restarted.
    """

    def __init__(self, root: Path, server: Server):
        self.root, self.server = root, server
        bypass_proxy(server.host)
        self.log = root / STATE / f"{server.name.lower()}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.exit_times: list[float] = []
        self.restart_at: float | None = None
        self.given_up = False
        self.process = self._start("wb")

    def _start(self, log_mode: str) -> subprocess.Popen[bytes]:
        with self.log.open(log_mode) as log:
            return subprocess.Popen(
                self.server.command,
                cwd=self.root,
                env={**os.environ, **self.server.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # stopped by `stop`, with its children, and not by Ctrl-C
            )

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and its children: SIGTERM, then SIGKILL."""
        if self.restart_at is not None or self.given_up:
            return  # it has ended, and another process may have its number by now
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)

    def wait_until_it_serves(self) -> None:
        """Raises: RuntimeError if the server ends or does not answer in time."""
        deadline = time.monotonic() + _START_SECONDS
        while not answers(f"{self.server.address}{self.server.health_path}"):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self._exit_message()}; see {self.log}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.server.name} did not answer within {_START_SECONDS:.0f} s; see {self.log}"
                )
            time.sleep(0.1)

    def restart_if_ended(self, say: Callable[[str], None]) -> None:
        """Start an ended server again, after a pause that doubles each time. `say` receives what happens."""
        if self.given_up or self.process.poll() is None:
            return
        now = time.monotonic()
        if self.restart_at is None:
            with suppress(ProcessLookupError):  # a child that is left would hold the port
                os.killpg(self.process.pid, signal.SIGKILL)
            recent = [each for each in self.exit_times if now - each < _EXITS_WITHIN_SECONDS]
            self.exit_times = [*recent, now]
            self.given_up = len(self.exit_times) >= _MAX_EXITS
            if self.given_up:
                times = f"{_MAX_EXITS} times within {_EXITS_WITHIN_SECONDS / 60:.0f} minutes"
                message = f"{self._exit_message()}, {times}; it is not started again; see {self.log}"
                print(f"error: {message}", file=sys.stderr, flush=True)
                return
            pause = 2.0 ** (len(self.exit_times) - 1)
            say(f"{self._exit_message()}; starting it again in {pause:.0f} s")
            self.restart_at = now + pause
        elif now >= self.restart_at:
            self.restart_at, self.process = None, self._start("ab")

    def _exit_message(self) -> str:
        """Exit code and last line of the log."""
        lines = [
            line
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip()
        ]
        last_line = lines[-1].strip()[:200] if lines else "no output"
        return f"{self.server.name} ended with {self.process.returncode} ({last_line})"
