"""The default pipeline at tiny size, in a copy of the project whose processes can be found and killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.system.clone import Clone
from tests.system.servers import clean_environment

REPRO = ("python", "-m", "pipeline.dvc.workspace_lock", "python", "-m", "pipeline.reproduction")
"""What `make repro` starts."""
TIMEOUT_SECONDS = 1800.0
"""More than any command takes here, on however busy a machine."""
_CREATED = (
    "data",
    "reports",
    "dvc.lock",
    ".checkpoints",
    ".tracking",
    ".results",
    "mlflow.db",
    "mlartifacts",
)
_TIMES = {"seconds", "images_per_second"}


class Workspace(Clone):
    """The copy.

    log: file with the output of all commands. target: the stage that runs end with; empty: all stages.
    """

    def __init__(
        self, folder: Path, percents: tuple[int, ...] = (50, 100), tracking: bool = True, target: str = ""
    ):
        super().__init__(folder)
        self.change(percents=list(percents), compute={"device": "cpu"})
        self.log = folder / "chaos.log"
        self.tracking, self.target = tracking, target

    @property
    def run_command(self) -> tuple[str, ...]:
        """The command of a run to its end."""
        return (*REPRO, *([self.target] if self.target else []))

    def stages(self) -> list[str]:
        """Stages in the order of dvc.yaml, each after those that it needs."""
        command = ["dvc", "stage", "list", "--name-only"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(self.folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "LABELMINT_SHIPPER_LINGER": "2",
        }
        return clean_environment(**own | ({} if self.tracking else {"LABELMINT_TRACKING": "off"}) | more)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command whose output goes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self, *command: str, **environment: str) -> int:
        """Run a command, by default the pipeline. Returns: its exit code, or -1 if it hung and was killed."""
        process = self.start(*(command or self.run_command), **environment)
        try:
            return process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            kill(self.processes())
            return -1

    def capture(self, *command: str, **environment: str) -> tuple[int, str]:
        """Exit code and output of a command, without the log.

        Raises: subprocess.TimeoutExpired if it hangs.
        """
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def processes(self) -> list[psutil.Process]:
        """All processes whose current folder is in the workspace."""
        return [
            process
            for process in psutil.process_iter(["pid", "cwd"])
            if process.info["cwd"]
            and Path(process.info["cwd"]).is_relative_to(self.folder)
            and process.pid != os.getpid()
        ]

    def outputs(self) -> dict[str, str]:
        """{file: its content without times, or its checksum} of metrics, results, weights and images."""
        data, reports = self.folder / "data", self.folder / "reports"
        texts = [*data.glob("metrics/*.json"), *reports.glob("results.csv"), *reports.glob("summary.json")]
        binaries = [*data.rglob("*.safetensors"), *data.rglob("*.npy")]
        found = {file: without_times(file) for file in texts}
        found |= {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in binaries}
        return {str(file.relative_to(self.folder)): content for file, content in found.items()}

    def clear(self) -> None:
        """Remove everything that a fresh clone lacks, including DVC's cache, once the shipper has ended."""
        occurs(lambda: not self.processes(), 60)
        for name in _CREATED:
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        for name in ("cache", "tmp"):
            shutil.rmtree(self.folder / ".dvc" / name, ignore_errors=True)

    def logged(self, start: int = 0) -> str:
        """The log from byte `start` on."""
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def log_size(self) -> int:
        """Size of the log in bytes."""
        return self.log.stat().st_size if self.log.exists() else 0


def stage_processes(workspace: Workspace) -> list[psutil.Process]:
    """Processes of stages and their workers."""
    return [each for each in workspace.processes() if "pipeline.stage" in command_line(each)]


def command_line(process: psutil.Process) -> list[str]:
    """Command line of a process; empty if the process has ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def without_times(file: Path) -> str:
    """Content of a JSON or CSV file without durations and speeds."""
    if file.suffix == ".json":
        return json.dumps(_remove_times(json.loads(file.read_text(encoding="utf-8"))), sort_keys=True)
    head, *rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
    kept = [index for index, name in enumerate(head) if name not in _TIMES]
    return "\n".join(",".join(row[index] for index in kept if index < len(row)) for row in [head, *rows])


def _remove_times(content: object) -> object:
    if isinstance(content, dict):
        return {name: _remove_times(value) for name, value in content.items() if name not in _TIMES}
    return [_remove_times(each) for each in content] if isinstance(content, list) else content


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Names of files that differ or exist on one side only."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def kill(processes: list[psutil.Process], number: int = signal.SIGKILL) -> None:
    """Send the signal to all processes and wait for their end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    psutil.wait_procs(processes, 90)


def occurs(condition: Callable[[], object], seconds: float, pause: float = 0.1) -> bool:
    """Whether `condition()` becomes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False
