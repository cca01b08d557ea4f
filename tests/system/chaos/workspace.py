"""The whole default pipeline at tiny size, in a copy of the project, whose processes can be found and killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.system.clone import Clone
from tests.system.servers import surroundings

REPRO = ("python", "-m", "pipeline.dvc.workspace_lock", "dvc", "repro")  # what `make repro` starts
_MADE = ("data", "reports", "dvc.lock", ".checkpoints", ".tracking", ".results", "mlflow.db", "mlartifacts")
SECONDS = 1800.0  # that no command here takes, however busy the machine is
_TIMES = {"seconds", "images_per_second"}


class Workspace(Clone):
    """log: what all commands printed. target: the stage that runs end with; empty: all."""

    def __init__(self, folder: Path, percents: tuple[int, ...] = (50, 100), tracking: bool = True, target: str = ""):
        super().__init__(folder)
        self.change(percents=list(percents), compute={"device": "cpu", "workers": 2})
        self.log = folder / "chaos.log"
        self.tracking, self.target = tracking, target

    @property
    def repro(self) -> tuple[str, ...]:
        return (*REPRO, *([self.target] if self.target else []))

    def stages(self) -> list[str]:
        """In the order of dvc.yaml, where what is needed comes first."""
        command = ["dvc", "stage", "list", "--name-only"]
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=True)  # fmt: skip
        return done.stdout.split()

    def environment(self, **more: str) -> dict[str, str]:
        own = {"PYTHONPATH": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true", "LABELMINT_SHIPPER_LINGER": "2"}
        return surroundings(**own | ({} if self.tracking else {"LABELMINT_TRACKING": "off"}) | more)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment(**environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )  # fmt: skip

    def finish(self, *command: str, seconds: float = SECONDS, **environment: str) -> int:
        """The exit code, or -1 where it hung and was killed."""
        process = self.start(*(command or self.repro), **environment)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill(self.processes())
            return -1

    def tell(self, *command: str, **environment: str) -> tuple[int, str]:
        """(exit code, what it printed), not by way of the log. Raises: subprocess.TimeoutExpired where it hangs."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, timeout=SECONDS
        )  # fmt: skip
        return done.returncode, done.stdout

    def processes(self) -> list[psutil.Process]:
        """All that work in this folder, whoever started them."""
        found = []
        for process in psutil.process_iter(["pid", "cwd"]):
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(self.folder) and process.pid != os.getpid():  # fmt: skip
                found.append(process)
        return found

    def outcome(self) -> dict[str, str]:
        """{file: its content without times, or its checksum} of all measures, the report's tables, weights and images, as far as they are there."""
        data, reports = self.folder / "data", self.folder / "reports"
        texts = [*data.glob("metrics/*.json"), *reports.glob("results.csv"), *reports.glob("summary.json")]
        bytes_ = [*data.rglob("*.safetensors"), *data.rglob("*.npy")]
        told = {file: timeless(file) for file in texts} | {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in bytes_}  # fmt: skip
        return {str(file.relative_to(self.folder)): content for file, content in told.items()}

    def clear(self) -> None:
        """As a fresh clone, DVC's caches included; the environment stays."""
        for name in _MADE:
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        for name in ("cache", "tmp"):
            shutil.rmtree(self.folder / ".dvc" / name, ignore_errors=True)

    def said(self, since: int = 0) -> str:
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def mark(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


def timeless(file: Path) -> str:
    if file.suffix == ".json":
        return json.dumps(_without_times(json.loads(file.read_text())), sort_keys=True)
    head, *rows = [line.split(",") for line in file.read_text().splitlines()]
    kept = [place for place, name in enumerate(head) if name not in _TIMES]
    return "\n".join(",".join(row[place] for place in kept if place < len(row)) for row in [head, *rows])


def _without_times(content: object) -> object:
    if isinstance(content, dict):
        return {name: _without_times(value) for name, value in content.items() if name not in _TIMES}
    return [_without_times(each) for each in content] if isinstance(content, list) else content


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def kill(processes: list[psutil.Process], number: int = signal.SIGKILL) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    psutil.wait_procs(processes, 90)


def until(condition, seconds: float, pause: float = 0.1) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False
