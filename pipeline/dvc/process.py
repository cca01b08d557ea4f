"""DVC commands, each in its own process group, which ends with the process that requested the command.

A stage and its workers belong to the group. If the requesting process dies, even by SIGKILL, the kernel sends
SIGTERM to DVC (PR_SET_PDEATHSIG), which then stops the group.

`python -m pipeline.dvc.process PARENT` imports DVC and runs the arguments that its parent, the process with
the id PARENT, then writes to its standard input. The next process is started while a command runs, so that
its imports, half of the time of a short command, are done when it is needed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from labelmint.runtime.parent_death import end_with_parent
from pipeline.project import seconds

GRACE = "LABELMINT_GRACE"
_GRACE_SECONDS = 60.0  # a stopped stage finishes its training step and saves
_KILL_SECONDS = 5.0  # from SIGTERM to SIGKILL
_POLL_SECONDS = 0.05
_DRAIN_SECONDS = 0.5
_ROUTINE_PREFIXES = (
    "Updating lock file",
    "Generating lock file",
    "To track the changes with git",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config core.autostage",
    "Use `dvc push`",
    "Data and pipelines are up to date",
)


def is_routine(line: str) -> bool:
    """Whether a line of DVC's output says nothing about this run."""
    return not line.strip() or line.startswith(_ROUTINE_PREFIXES)


class Dvc:
    """Runs DVC commands for one process. `close` stops the commands that still run.

    ahead: whether to start the process of the next command while one runs.
    """

    def __init__(self, root: Path, *, ahead: bool = True):
        self.root, self.ahead = root, ahead
        self._lock = threading.Lock()
        self._running: set[threading.Event] = set()
        self._next: tuple[dict[str, str], subprocess.Popen[str]] | None = None

    def run(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        on_line: Callable[[str], None],
        descriptors: Sequence[int] = (),
    ) -> int:
        """Run `dvc ARGUMENTS`, calling `on_line` with each line of output as it is printed.

        descriptors: open files that DVC inherits, but not its stages.
        Returns: the exit code, or minus the number of the signal that ended DVC.
        """
        stop = threading.Event()
        with self._lock:
            self._running.add(stop)
        process = self._take(environment, descriptors)
        _send(process, arguments)
        self._prepare(environment)
        try:
            lines: queue.SimpleQueue[str] = queue.SimpleQueue()
            reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
            reader.start()
            signals, stopped_at = _stop_signals(environment), 0.0
            while process.poll() is None:
                with suppress(queue.Empty):
                    on_line(lines.get(timeout=_POLL_SECONDS))
                if stop.is_set():
                    stopped_at = stopped_at or time.monotonic()
                    while signals and time.monotonic() - stopped_at >= signals[0][0]:
                        _signal_group(process.pid, signals.pop(0)[1])
        finally:
            _signal_group(process.pid, signal.SIGKILL)  # processes that the command left behind
            process.wait()
            with self._lock:
                self._running.discard(stop)
        reader.join(_DRAIN_SECONDS)  # a stray process outside the group may keep the pipe open
        while not lines.empty():
            on_line(lines.get())
        return process.returncode

    def stop(self) -> None:
        """Stop all commands: SIGINT, then after the grace period SIGTERM and SIGKILL. `run` then returns."""
        with self._lock:
            for stop in self._running:
                stop.set()

    def close(self) -> None:
        self.stop()
        with self._lock:
            waiting, self._next = self._next, None
        if waiting:
            _discard(waiting[1])

    def _take(self, environment: dict[str, str], descriptors: Sequence[int]) -> subprocess.Popen[str]:
        """A process that waits for arguments: the one that is ready, if it has this environment."""
        with self._lock:
            ready, self._next = self._next, None
        if ready and not descriptors and ready[0] == environment and ready[1].poll() is None:
            return ready[1]
        if ready:
            _discard(ready[1])
        return self._start(environment, descriptors)

    def _prepare(self, environment: dict[str, str]) -> None:
        """Let the next process import DVC now."""
        with self._lock:
            if self.ahead and self._next is None:
                self._next = environment, self._start(environment)

    def _start(self, environment: dict[str, str], descriptors: Sequence[int] = ()) -> subprocess.Popen[str]:
        own_code = str(Path(__file__).parents[2])
        python_path = os.pathsep.join(filter(None, [own_code, environment.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.dvc.process", str(os.getpid())],
            cwd=self.root,
            env={**environment, "PYTHONPATH": python_path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C reaches it through the requesting process only
        )


def _send(process: subprocess.Popen[str], arguments: Sequence[str]) -> None:
    """Tell a process that waits what to run."""
    if process.stdin:
        with suppress(BrokenPipeError), process.stdin as pipe:  # it has ended, which its exit code says
            pipe.write(json.dumps(list(arguments)))


def _discard(process: subprocess.Popen[str]) -> None:
    """End a process that waits for arguments."""
    process.kill()
    process.communicate()


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    """Put the lines of the output into the queue as they are printed, without their ends."""
    for line in process.stdout or ():
        lines.put(line.rstrip("\n"))


def _stop_signals(environment: Mapping[str, str]) -> list[tuple[float, int]]:
    """Signals that stop a group, each with the seconds after the request at which it is due."""
    grace = seconds(GRACE, _GRACE_SECONDS, environment)
    return [(0.0, signal.SIGINT), (grace, signal.SIGTERM), (grace + _KILL_SECONDS, signal.SIGKILL)]


def _signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; 0 is the own one."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main(parent: int) -> int:
    """Run `dvc` with the arguments on standard input. Returns: the exit code."""

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=stop_own_group, daemon=True).start()

    def stop_own_group() -> None:
        started = time.monotonic()
        for due, number in _stop_signals(os.environ):
            time.sleep(max(0.0, started + due - time.monotonic()))
            _signal_group(0, number)

    # Background jobs of a shell ignore SIGINT, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminate)
    end_with_parent(parent)
    try:
        import dvc.commands.repro  # noqa: F401
        import dvc.repo  # noqa: F401  # the command imports it, but only when it knows its arguments
        from dvc.cli import main as dvc_main

        line = sys.stdin.read()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        return int(dvc_main(json.loads(line))) if line else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        if os.getppid() != parent:
            _signal_group(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
