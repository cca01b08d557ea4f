"""The tracker that stages are handed: it appends to a folder, which a process apart ships to MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

from labelmint.data.download import public
from labelmint.runtime.progress import say
from stages.paths import Arm

SPOOL = Path(".tracking")
ERROR = "error"
LAST_RUN = "last_run.json"  # MLflow ids of the last pipeline run
PARENT_RUN = "LABELMINT_PARENT_RUN"
SWITCH = "LABELMINT_TRACKING"
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_SAMPLE_SECONDS = 5.0
_LARGEST_BYTES = 256 << 20  # larger files are DVC's business alone


def own_store(root: Path) -> Path:
    """MLflow's sqlite file in the project's folder, an absolute path."""
    return (root / "mlflow.db").resolve()


def tracking_uri(root: Path) -> str:
    """$MLFLOW_TRACKING_URI, or the project's own store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own_store(root)}"


def public_uri(root: Path) -> str:
    """The same for messages and records, without credentials."""
    return public(tracking_uri(root))


def without_credentials(root: Path, error: BaseException) -> str:
    """What MLflow's clients say, in one line; they quote the address as it was given."""
    said = " ".join(str(error).split()).replace(tracking_uri(root), public_uri(root))
    password = urlsplit(tracking_uri(root)).password
    for secret in (password, unquote(password or ""), *(os.environ.get(name) for name in _SECRETS)):
        said = said.replace(secret, "***") if secret else said
    return said[:200]


def experiment_name(dataset: str) -> str:
    """One experiment a data set, since only numbers of one data set compare."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"labelmint-{dataset}"


def open_tracker(root: Path, stage: str, arm: Arm | None, dataset: str = "") -> SpoolTracker:
    """A tracker for one run of a stage. Of torchrun's processes one keeps the record."""
    if os.environ.get("RANK", "0") != "0":
        return SpoolTracker(None)
    name = f"{stage}@{arm.name}" if arm else stage
    tags = {
        "stage": stage,
        "stage_name": os.environ.get("DVC_STAGE", name),
        "dataset": dataset,
        **({"arm": arm.name, "generator": arm.generator, "percent": arm.percent, "seed": arm.seed} if arm else {}),
    }
    tracker = open_spool(root, name, tags, dataset)
    if arm:
        tracker.log_params({"percent": arm.percent, "seed": arm.seed, "generator": arm.generator})
        tracker.log_metrics({"percent": arm.percent})
    return tracker


def open_spool(root: Path, name: str, tags: Mapping[str, Any], dataset: str) -> SpoolTracker:
    """A record of its own, which becomes one run in MLflow. LABELMINT_TRACKING=off keeps none."""
    if os.environ.get(SWITCH, "on").lower() in ("off", "0", "false"):
        return SpoolTracker(None)
    folder = root / SPOOL / f"{time.time_ns()}-{name}-{os.getpid()}"
    header = {
        "name": name,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "start": _now(),
        "parent": os.environ.get(PARENT_RUN),
        "uri": public_uri(root),
        "experiment": experiment_name(dataset),
        "tags": tags,
    }
    try:
        (folder / "files").mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(header))
        tracker = SpoolTracker(folder, (folder / "events.jsonl").open("a", buffering=1))
    except OSError as error:
        say(f"not tracked: {error}")
        return SpoolTracker(None)
    tracker.start(root)
    return tracker


class SpoolTracker:
    """Appends events, one JSON object a line. Nothing it meets is allowed to reach the stage."""

    def __init__(self, folder: Path | None, events: TextIO | None = None):
        self.folder, self._events = folder, events
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def start(self, root: Path) -> None:
        start_shipper(root)
        threading.Thread(target=self._sample, daemon=True).start()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.write({"params": {name: str(value) for name, value in params.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.write({"metrics": {name: float(value) for name, value in metrics.items()}, "step": step})

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None:
        self._keep(f"figure-{name}-{step:06d}.png", lambda path: path.write_bytes(png), {"figure": name, "step": step})

    def log_file(self, path: Path, folder: str = "") -> None:
        if path.stat().st_size > _LARGEST_BYTES:
            return self.write({"tags": {f"not_logged.{path.name}": f"{path.stat().st_size:,} bytes"}})
        self._keep(
            f"{folder.replace('/', '_')}-{path.name}",
            lambda copy: shutil.copyfile(path, copy),
            {"artifact": path.name, "folder": folder},
        )

    def child(self, name: str) -> ChildTracker:
        """Of a part of the work, such as one class: a run of its own below this one."""
        return ChildTracker(self, name)

    def log_data(self, manifest: Path, name: str, context: str) -> None:
        """Which data the run had. The digest is of the manifest, which names every image by hash; MLflow takes 36 characters."""
        described = manifest.with_name("dataset.json")
        try:
            content, facts = manifest.read_bytes(), json.loads(described.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # the stage itself is done
            return say(f"not tracked: {described}: {error}")
        digest = hashlib.sha256(content).hexdigest()[:36]
        self.write(
            {"data": {"name": name, "digest": digest, "source": str(manifest), "context": context, "facts": facts}}
        )

    def close(self, status: str) -> None:
        """status: FINISHED, FAILED or KILLED. Does not wait: the shipper goes on by itself."""
        if self.folder is None:
            return
        self._closing.set()
        self.write({"metrics": _system(), "step": 0})
        self.write({"end": status})
        with self._lock:
            if self._events is not None:
                self._events.close()
            self._events = None
        try:
            why = (self.folder.parent / ERROR).read_text()
        except OSError:
            return
        say(f"not in MLflow yet ({why}); nothing is lost: a later stage or `labelmint sync` ships it")

    def write(self, event: dict[str, Any]) -> None:
        with self._lock:
            if self._events is None:
                return
            try:
                self._events.write(json.dumps({"time": _now(), **event}) + "\n")
            except (OSError, ValueError) as error:
                say(f"tracking stops here: {error}")
                self._events = None

    def _keep(self, name: str, put: Any, event: dict[str, Any]) -> None:
        if self.folder is None:
            return
        try:
            put(self.folder / "files" / name)
        except OSError as error:
            say(f"not tracked: {name}: {error}")
            return
        self.write({**event, "file": name})

    def _sample(self) -> None:
        """System metrics under MLflow's own names. Ours, since MLflow's sampler logs nothing for a short stage."""
        step = 0
        _system()  # the first CPU reading has nothing to compare with
        while not self._closing.wait(1.0 if step == 0 else _SAMPLE_SECONDS):
            self.write({"metrics": _system(), "step": step})
            step += 1


class ChildTracker:
    """Tells its numbers to the parent's spool, marked as the child's."""

    def __init__(self, parent: SpoolTracker, name: str):
        self._parent, self._name = parent, name

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        self._parent.write({"child": self._name, "metrics": values, "step": step})


def start_shipper(root: Path) -> None:
    """One shipper serves a workspace: another that is started meanwhile ends at once."""
    if find_spec("mlflow") is None:
        return  # a bare node: the spool can be shipped from elsewhere
    try:
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.ship"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the stage; the shipper ends by itself soon after
        )
    except OSError as error:
        say(f"not tracked in MLflow for now: {error}; `labelmint sync` will ship it")


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
    readers: tuple[tuple[str, Callable[[Any], float]], ...] = (
        ("utilization_percentage", lambda card: pynvml.nvmlDeviceGetUtilizationRates(card).gpu),
        ("memory_usage_megabytes", lambda card: pynvml.nvmlDeviceGetMemoryInfo(card).used / 1e6),
        ("power_usage_watts", lambda card: pynvml.nvmlDeviceGetPowerUsage(card) / 1e3),
    )
    readings: dict[str, float] = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        for name, read in readers:
            with suppress(pynvml.NVMLError):  # a slice of a card does not tell everything
                readings[f"system/gpu_{index}_{name}"] = read(handle)
    return readings


def _now() -> int:
    """Milliseconds, as MLflow counts time."""
    return time.time_ns() // 1_000_000
