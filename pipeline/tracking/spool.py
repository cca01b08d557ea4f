"""The tracker that stages are handed: it appends to a folder, and a child process ships that folder to MLflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from stages.prepare.layout import Arm
from stages.prepare.tracker import say

SPOOL = Path(".tracking")
PARENT_RUN = "LABELMINT_PARENT_RUN_ID"
SWITCH = "LABELMINT_TRACKING"
WAIT = "LABELMINT_TRACKING_WAIT"
_WAIT_SECONDS = 20.0
_SAMPLE_SECONDS = 5.0


def open_tracker(root: Path, stage: str, arm: Arm | None) -> SpoolTracker:
    """A tracker for one run of a stage. LABELMINT_TRACKING=off keeps no record at all; of torchrun's processes one does."""
    if os.environ.get(SWITCH, "on").lower() in ("off", "0", "false") or os.environ.get("RANK", "0") != "0":
        return SpoolTracker(None)
    name = f"{stage}@{arm.name}" if arm else stage
    tags = {
        "stage": stage,
        **({"arm": arm.name, "generator": arm.generator, "percent": arm.percent, "seed": arm.seed} if arm else {}),
    }
    folder = root / SPOOL / f"{time.time_ns()}-{name}-{os.getpid()}"
    try:
        (folder / "files").mkdir(parents=True)
        header = {"name": name, "pid": os.getpid(), "start": _now(), "parent": os.environ.get(PARENT_RUN), "tags": tags}
        (folder / "run.json").write_text(json.dumps(header))
        tracker = SpoolTracker(folder, (folder / "events.jsonl").open("a", buffering=1))
    except OSError as error:
        say(f"not tracked: {error}")
        return SpoolTracker(None)
    tracker.start(root)
    if arm:
        tracker.log_params({"percent": arm.percent, "seed": arm.seed, "generator": arm.generator})
        tracker.log_metrics({"percent": arm.percent})
    return tracker


class SpoolTracker:
    """Appends events, one JSON object a line. Nothing it meets is allowed to reach the stage."""

    def __init__(self, folder: Path | None, events: TextIO | None = None):
        self.folder, self._events = folder, events
        self._shipper: subprocess.Popen | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def start(self, root: Path) -> None:
        if find_spec("mlflow") is None:
            return  # a bare node: the spool can be shipped from elsewhere
        try:
            self._shipper = subprocess.Popen(
                [sys.executable, "-m", "pipeline.tracking.ship", str(self.folder), "--follow", str(os.getpid())],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the stage; the shipper ends by itself soon after
            )
        except OSError as error:
            say(f"not tracked in MLflow for now: {error}; `labelmint sync` will ship it")
        threading.Thread(target=self._sample, daemon=True).start()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._write({"params": {name: str(value) for name, value in params.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self._write({"metrics": {name: float(value) for name, value in metrics.items()}, "step": step})

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None:
        self._keep(f"figure-{name}-{step:06d}.png", lambda path: path.write_bytes(png), {"figure": name, "step": step})

    def log_file(self, path: Path, folder: str = "") -> None:
        self._keep(
            f"{folder.replace('/', '_')}-{path.name}",
            lambda copy: shutil.copyfile(path, copy),
            {"artifact": path.name, "folder": folder},
        )

    def close(self, status: str) -> None:
        """status: FINISHED, FAILED or KILLED. Waits a little for the shipper, never long, and leaves the spool if it must."""
        if self.folder is None:
            return
        self._closing.set()
        self._write({"metrics": _system(), "step": 0})
        self._write({"end": status})
        with self._lock:
            if self._events is not None:
                self._events.close()
            self._events = None
        if self._shipper is not None:
            tripped = self.folder.parent / "slow"
            wait = float(os.environ.get(WAIT, _WAIT_SECONDS)) if status != "KILLED" and not tripped.exists() else 0.0
            try:
                code = self._shipper.wait(wait)
            except subprocess.TimeoutExpired:
                code = None
                if wait:  # from now on no stage waits, until a spool has been shipped again
                    tripped.touch()
                    code = -1
            if code:
                say(f"not in MLflow yet ({self._why()}); nothing is lost: the next stage or `labelmint sync` ships it")

    def _why(self) -> str:
        try:
            return (self.folder / "error").read_text()
        except OSError:
            return "it takes longer than the stage may wait"

    def _keep(self, name: str, put: Any, event: dict[str, Any]) -> None:
        if self.folder is None:
            return
        try:
            put(self.folder / "files" / name)
        except OSError as error:
            say(f"not tracked: {name}: {error}")
            return
        self._write({**event, "file": name})

    def _write(self, event: dict[str, Any]) -> None:
        with self._lock:
            if self._events is None:
                return
            try:
                self._events.write(json.dumps({"time": _now(), **event}) + "\n")
            except (OSError, ValueError) as error:
                say(f"tracking stops here: {error}")
                self._events = None

    def _sample(self) -> None:
        """System metrics under MLflow's own names. Ours, since MLflow's sampler logs nothing for a short stage."""
        step = 0
        _system()  # the first CPU reading has nothing to compare with
        while not self._closing.wait(1.0 if step == 0 else _SAMPLE_SECONDS):
            self._write({"metrics": _system(), "step": step})
            step += 1


def _system() -> dict[str, float]:
    try:
        import psutil
    except ImportError:
        return {}
    memory = psutil.virtual_memory()
    try:
        own = psutil.Process()
        family = [own, *own.children(recursive=True)]
        resident = sum(process.memory_info().rss for process in family if process.is_running())
    except psutil.Error:
        resident = 0
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_percentage": memory.percent,
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/stage_memory_megabytes": resident / 1e6,
        "system/disk_available_megabytes": psutil.disk_usage(".").free / 1e6,
        **_gpus(),
    }


def _gpus() -> dict[str, float]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no library, no driver or no card: all the same here
        return {}
    readings = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        readings[f"system/gpu_{index}_utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        readings[f"system/gpu_{index}_memory_usage_megabytes"] = pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6
        readings[f"system/gpu_{index}_power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3
    return readings


def _now() -> int:
    """Milliseconds, as MLflow counts time."""
    return time.time_ns() // 1_000_000
