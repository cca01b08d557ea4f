"""The tracker of a stage, which appends to a folder. A separate process ships the folder to MLflow."""

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
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from labelmint.runtime.atomic_files import save_json
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import NullTracker, Tracker
from pipeline.tracking import system_metrics
from pipeline.tracking.address import experiment_name, public_uri, run_page
from pipeline.tracking.owner import Owner
from pipeline.tracking.spool_folder import ERROR, RUN_ID, SPOOL
from stages.paths import Arm

PARENT_RUN = "LABELMINT_PARENT_RUN"
SWITCH = "LABELMINT_TRACKING"
_SAMPLE_SECONDS = 5.0
_MAX_FILE_BYTES = 256 << 20  # larger files are kept by DVC only


def open_tracker(
    root: Path,
    stage: str,
    arm: Arm | None,
    dataset: str = "",
    parent: str | None = None,
    *,
    trackers: Sequence[str] = (),
) -> SpoolTracker:
    """A tracker for one run of a stage. Only the first of torchrun's processes keeps records.

    parent: key of the pipeline run. None: that of the flow, which is in the environment. trackers: see
    open_spool.
    """
    if os.environ.get("RANK", "0") != "0":
        return SpoolTracker(None)
    name = f"{stage}@{arm.name}" if arm else stage
    tags: dict[str, Any] = {"stage": stage, "stage_name": os.environ.get("DVC_STAGE", name)}
    tags |= {"dataset": dataset, **({"arm": arm.name, **vars(arm)} if arm else {})}
    parent = parent or os.environ.get(PARENT_RUN)
    tracker = open_spool(root, name, tags, dataset, parent=parent, trackers=trackers)
    if arm:
        tracker.log_params(vars(arm))
        tracker.log_metrics({"percent": arm.percent})
    return tracker


def open_spool(
    root: Path,
    name: str,
    tags: Mapping[str, Any],
    dataset: str,
    *,
    parent: str | None = None,
    owner: Owner | None = None,
    trackers: Sequence[str] = (),
) -> SpoolTracker:
    """A tracker with a new spool, which becomes one run in MLflow.

    LABELMINT_TRACKING=off keeps no records.

    Args:
        root: The project's folder.
        name: Name of the run.
        tags: Its tags.
        dataset: Name of the data set, which decides the experiment.
        parent: Key of the run that this one is part of.
        owner: Process that the run ends with, if it is not this one; others join it by `join_spool`.
        trackers: Names of the destinations beside MLflow.
    """
    if not is_on():
        return SpoolTracker(None)
    folder = root / SPOOL / f"{time.time_ns()}-{name}-{owner.key if owner else os.getpid()}"
    header = {
        "name": name,
        "pid": owner.pid if owner else os.getpid(),
        **({"created": owner.created} if owner else {}),
        "host": socket.gethostname(),
        "start": _now(),
        "parent": parent,
        "uri": public_uri(root),
        "experiment": experiment_name(dataset),
        "tags": tags,
        "trackers": list(trackers),
    }
    try:
        (folder / "files").mkdir(parents=True)
        tracker = join_spool(folder)
        save_json(folder / "run.json", header)  # last: with it, the shipper sees the spool
    except OSError as error:
        say(f"not tracked: {error}")
        return SpoolTracker(None)
    if owner is None:
        tracker.start(root)
    return tracker


def is_on() -> bool:
    """Whether records are kept."""
    return os.environ.get(SWITCH, "on").lower() not in ("off", "0", "false")


def join_spool(folder: Path) -> SpoolTracker:
    """A tracker that appends to a spool, and that its process closes with `leave`. Raises: OSError."""
    return SpoolTracker(folder, (folder / "events.jsonl").open("a", buffering=1, encoding="utf-8"))


class SpoolTracker(Tracker):
    """Appends events to a spool, one JSON object per line. Its errors never reach the stage.

    folder: the spool, or None if no records are kept.
    """

    def __init__(self, folder: Path | None, events: TextIO | None = None):
        self.folder, self._events = folder, events
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def start(self, root: Path) -> None:
        """Start the shipper and the sampling of system metrics."""
        start_shipper(root)
        threading.Thread(target=self._sample, daemon=True).start()

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.write({"params": {name: str(value) for name, value in params.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.write({"metrics": {name: float(value) for name, value in metrics.items()}, "step": step})

    def log_figure(self, name: str, png: bytes, step: int = 0) -> None:
        event = {"figure": name, "step": step}
        self._save_file(f"figure-{name}-{step:06d}.png", lambda path: path.write_bytes(png), event)

    def log_file(self, path: Path, folder: str = "") -> None:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return self.write({"tags": {f"not_logged.{path.name}": f"{path.stat().st_size:,} bytes"}})
        name, event = f"{folder.replace('/', '_')}-{path.name}", {"artifact": path.name, "folder": folder}
        self._save_file(name, lambda target: shutil.copyfile(path, target), event)

    def child(self, name: str) -> ChildTracker:
        """A tracker of one part of the work, e.g. one class, which becomes a child run of this one."""
        return ChildTracker(self, name)

    def page(self) -> str:
        """URL of the pipeline run in MLflow's pages; empty before MLflow has it, or without one."""
        if self.folder is None:
            return ""
        try:
            parent = json.loads((self.folder / "run.json").read_bytes())["parent"]
            ids = json.loads((self.folder.with_name(parent or self.folder.name) / RUN_ID).read_bytes())
        except (OSError, ValueError):
            return ""
        return run_page(ids["experiment_id"], ids["run_id"])

    def log_data(self, manifest: Path, name: str, context: str) -> None:
        """Record the data set of the run.

        The digest is that of the manifest, which names every image by its hash; MLflow allows 36 characters.
        """
        description = manifest.with_name("dataset.json")
        try:
            content, facts = manifest.read_bytes(), json.loads(description.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # the stage itself is done
            return say(f"not tracked: {description}: {error}")
        digest = hashlib.sha256(content).hexdigest()[:36]
        self.write(
            {
                "data": {
                    "name": name,
                    "digest": digest,
                    "source": str(manifest),
                    "context": context,
                    "facts": facts,
                }
            }
        )

    def close(self, status: str) -> None:
        """End the run with `status`: FINISHED, FAILED or KILLED. The shipper sends it later."""
        if self.folder is None:
            return
        self._closing.set()
        self.write({"metrics": system_metrics.read(), "step": 0})
        self.write({"end": status})
        self.leave()
        try:
            reason = (self.folder.parent / ERROR).read_text(encoding="utf-8")
        except OSError:
            return
        say(f"not in MLflow yet ({reason}); nothing is lost: a later stage or `labelmint sync` ships it")

    def leave(self) -> None:
        """Write no more events. The run itself goes on."""
        with self._lock:
            if self._events is not None:
                self._events.close()
            self._events = None

    def write(self, event: dict[str, Any]) -> None:
        """Append one event with its time."""
        with self._lock:
            if self._events is None:
                return
            try:
                self._events.write(json.dumps({"time": _now(), **event}) + "\n")
            except (OSError, ValueError) as error:
                say(f"tracking stops here: {error}")
                self._events = None

    def _save_file(self, name: str, save: Callable[[Path], object], event: dict[str, Any]) -> None:
        if self.folder is None:
            return
        try:
            save(self.folder / "files" / name)
        except OSError as error:
            say(f"not tracked: {name}: {error}")
            return
        self.write({**event, "file": name})

    def _sample(self) -> None:
        """Log system metrics until the run is closed. MLflow's own sampler logs nothing for a short stage."""
        step = 0
        system_metrics.read()  # the first CPU reading has nothing to compare with
        while not self._closing.wait(1.0 if step == 0 else _SAMPLE_SECONDS):
            self.write({"metrics": system_metrics.read(), "step": step})
            step += 1


class ChildTracker(NullTracker):
    """Writes metrics to its parent's spool, marked as the child's. It has no records of other kinds."""

    def __init__(self, parent: SpoolTracker, name: str):
        self._parent, self._name = parent, name

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        self._parent.write({"child": self._name, "metrics": values, "step": step})


def start_shipper(root: Path) -> None:
    """Start a shipper. One serves a workspace: a second one ends at once."""
    if find_spec("mlflow") is None:
        return  # a node without MLflow: the spool can be shipped from another machine
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


def _now() -> int:
    """Milliseconds since the epoch, MLflow's unit of time."""
    return time.time_ns() // 1_000_000
