"""DVC commands, each in its own process group, which ends with the process that requested the command.

`Dvc` keeps one process that has imported DVC and forks it for every command: a stage then costs 0.4 s instead
of the 2 s of a new interpreter. (DVC's locks identify a process by its id, so commands must not share one.)
Each command has a guardian process. It stops the whole group, including the stage's own workers, on request
and also when the requesting process has died.

Run as `python -m pipeline.dvc.process FD`, where FD is the control socket.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

GRACE = "LABELMINT_GRACE"
_GRACE_SECONDS = 60.0  # a stopped stage finishes its training step and saves
_POLL_SECONDS = 0.05


class Dvc:
    """Runs DVC commands for one process. `close` stops the commands that still run."""

    def __init__(self, root: Path):
        self.root = root
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._running: set[socket.socket] = set()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *_python_path()]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.dvc.process", str(theirs.fileno())],
            cwd=root,
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches it through the requesting process only
        )
        theirs.close()

    def run(
        self, arguments: Sequence[str], environment: dict[str, str], on_line: Callable[[str], None]
    ) -> int:
        """Run `dvc ARGUMENTS`, calling `on_line` with each line of output as it is printed.

        Returns: the exit code, or minus the number of the signal that ended DVC.
        """
        ours, theirs = socket.socketpair()
        out, their_out = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._control, [b"x"], [theirs.fileno(), their_out])
                self._running.add(ours)
        finally:
            theirs.close()
            os.close(their_out)
        try:
            request = {"arguments": list(arguments), "environment": environment, "cwd": str(self.root)}
            ours.sendall(json.dumps(request).encode() + b"\n")
            return _listen(ours, out, on_line)
        finally:
            os.close(out)
            with self._lock:
                self._running.discard(ours)
            ours.close()

    def stop(self) -> None:
        """Stop all commands: SIGINT, then after the grace period SIGTERM and SIGKILL. `run` then returns."""
        with self._lock:
            for each in self._running:
                each.sendall(b"stop\n")

    def close(self) -> None:
        self._control.close()
        self._process.wait()


def _python_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def _listen(answer: socket.socket, out: int, on_line: Callable[[str], None]) -> int:
    """Pass lines on until the guardian sends the exit code."""
    open_files: list[socket.socket | int] = [answer, out]
    buffer, code = b"", None
    while code is None:
        ready, _, _ = select.select(open_files, [], [])
        if out in ready:
            buffer, more = _drain(out, buffer, on_line)
            if not more:
                open_files.remove(out)
        elif answer in ready:
            content = answer.recv(64)
            if not content:
                raise RuntimeError("the guardian process of a DVC command was killed")
            code = int(content)
    while buffer or out in open_files:  # the last lines; a stray process may keep the pipe open
        if out not in open_files or not select.select([out], [], [], 0.2)[0]:
            break
        buffer, more = _drain(out, buffer, on_line)
        if not more:
            break
    if buffer:
        on_line(buffer.decode(errors="replace"))
    return code


def _drain(out: int, buffer: bytes, on_line: Callable[[str], None]) -> tuple[bytes, bool]:
    chunk = os.read(out, 65536)
    *lines, buffer = (buffer + chunk).replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        on_line(line.decode(errors="replace"))
    return buffer, bool(chunk)


def _serve(control: socket.socket) -> None:
    """Fork a guardian for every received pair of descriptors; end when the requesting process has died."""
    import dvc.repo.reproduce  # noqa: F401
    from dvc.cli import parser

    parser.get_main_parser()  # imports all commands
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the guardians
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not content:
            return
        if os.fork() == 0:
            control.close()
            _guard(socket.socket(fileno=descriptors[0]), descriptors[1])
        for each in descriptors:
            os.close(each)


def _guard(client: socket.socket, out: int) -> NoReturn:
    """Run one command in its own process group, and make sure that the group ends."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with client.makefile("rb", buffering=0) as file:  # unbuffered: a stop request may follow
        request = json.loads(file.readline())
    group = os.fork()
    if group == 0:
        os.setpgid(0, 0)
        client.close()
        _command(request, out)
    os.close(out)
    grace = float(request["environment"].get(GRACE, _GRACE_SECONDS))
    stopping: float | None = None
    while True:
        ended, status = os.waitpid(group, os.WNOHANG)
        if ended:
            break
        if stopping is None:
            if select.select([client], [], [], _POLL_SECONDS)[
                0
            ]:  # a stop request, or the requesting process has died
                stopping = time.monotonic()
                _signal(group, signal.SIGINT)
        else:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - stopping > grace + 5:
                _signal(group, signal.SIGKILL)
            elif time.monotonic() - stopping > grace:
                _signal(group, signal.SIGTERM)
    _signal(group, signal.SIGKILL)  # processes that the command left behind
    with suppress(OSError):  # the requesting process may have died
        client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _command(request: dict[str, Any], out: int) -> NoReturn:
    code = 255
    try:
        # Background jobs of a shell ignore SIGINT, and their children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.close(out)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        sys.argv = ["dvc", *request["arguments"]]
        from dvc.cli import main

        code = main(request["arguments"])
    except BaseException as error:
        print(f"ERROR: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
