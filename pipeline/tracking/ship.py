"""Ships spools to MLflow: `python -m pipeline.tracking.ship SPOOL [--follow PID]`.

Runs apart from the stage, so that nothing MLflow does can stop or slow it. A spool that was shipped to its end is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.tracking.spool import SPOOL

_POLL_SECONDS = 0.5
_PER_BATCH = 900  # MLflow takes 1,000 metrics and 100 params a batch
_PARAMS_PER_BATCH = 100
_LONGEST_PARAM = 6000
_STORE = "mlflow.db"
_ARTIFACTS = "mlartifacts"


def tracking_uri(root: Path) -> str:
    """$MLFLOW_TRACKING_URI, or a sqlite store at an absolute path in the project's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / _STORE).resolve()}"


def ship(root: Path, folder: Path, follow: int | None = None) -> bool:
    """Ship one spool; with `follow`, until the process of that id has ended it. True when it is all in MLflow."""
    with _locked(folder / "shipping") as mine:
        if not mine:
            return False
        client, header = _client(root), json.loads((folder / "run.json").read_text())
        run_id = _run(client, root, folder, header)
        cursor_file = folder / "shipped"
        shipped = int(cursor_file.read_text()) if cursor_file.exists() else 0
        ended = None
        while ended is None:
            alive = follow is not None and _alive(follow)
            content = (folder / "events.jsonl").read_bytes()
            complete = content.rfind(b"\n") + 1
            events = [json.loads(line) for line in content[shipped:complete].splitlines()]
            if events:
                _send(client, run_id, folder, events)
                shipped = complete
                cursor_file.write_text(str(shipped))
            ended = next((event["end"] for event in events if "end" in event), None)
            if ended is None and not alive:
                if follow is None and _alive(header["pid"]):
                    return False  # its own shipper is at work, or will be
                ended = "KILLED"
            if ended is None:
                time.sleep(_POLL_SECONDS)
        client.set_terminated(run_id, ended, events[-1]["time"] if events else None)
    shutil.rmtree(folder, ignore_errors=True)
    (root / SPOOL / "slow").unlink(missing_ok=True)
    return True


def waiting(root: Path) -> list[Path]:
    """Spools left behind, oldest first."""
    return sorted(path.parent for path in (root / SPOOL).glob("*/run.json"))


def _client(root: Path) -> Any:
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
        ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0"),
    ):
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri(root))


def _run(client: Any, root: Path, folder: Path, header: dict[str, Any]) -> str:
    """The MLflow run of this spool, made at first need."""
    known = folder / "run_id"
    if known.exists():
        return known.read_text()
    tags = {name: str(value) for name, value in header["tags"].items()} | {
        "mlflow.runName": header["name"],
        "mlflow.source.name": "pipeline.stage",
    }
    if header["parent"]:
        tags["mlflow.parentRunId"] = header["parent"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    if commit:
        tags["mlflow.source.git.commit"] = commit
    run = client.create_run(_experiment(client, root), start_time=header["start"], tags=tags, run_name=header["name"])
    known.write_text(run.info.run_id)
    return run.info.run_id


def _experiment(client: Any, root: Path) -> str:
    """The experiment's id. Made once, under a lock, since several stages may be the first."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "labelmint")
    with _locked(root / SPOOL / "experiment.lock", wait=True):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        local = tracking_uri(root).startswith("sqlite")
        return client.create_experiment(
            name, artifact_location=(root / _ARTIFACTS).resolve().as_uri() if local else None
        )


def _send(client: Any, run_id: str, folder: Path, events: list[dict[str, Any]]) -> None:
    from mlflow.entities import Metric, Param

    metrics = [
        Metric(name, value, event["time"], event["step"])
        for event in events
        for name, value in event.get("metrics", {}).items()
    ]
    params = {name: value[:_LONGEST_PARAM] for event in events for name, value in event.get("params", {}).items()}
    for at in range(0, len(metrics), _PER_BATCH):
        client.log_batch(run_id, metrics=metrics[at : at + _PER_BATCH])
    items = [Param(name, value) for name, value in params.items()]
    for at in range(0, len(items), _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=items[at : at + _PARAMS_PER_BATCH])
    for event in events:
        if "figure" in event:
            from PIL import Image

            client.log_image(
                run_id,
                Image.open(folder / "files" / event["file"]),
                key=event["figure"],
                step=event["step"],
                synchronous=True,
            )
        elif "artifact" in event:
            named = folder / "files" / event["artifact"]
            if not named.exists():
                os.link(folder / "files" / event["file"], named)
            client.log_artifact(run_id, str(named), event["folder"] or None)


@contextmanager
def _locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock that dies with the process. Without `wait`, False when another process has it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def main(arguments: list[str]) -> int:
    os.nice(5)  # the stage comes first
    root, folder = Path.cwd(), Path(arguments[0])
    try:
        shipped = ship(root, folder, int(arguments[2]) if arguments[1:2] == ["--follow"] else None)
        for old in waiting(root):
            if old != folder:
                ship(root, old)
        return 0 if shipped else 1
    except Exception as error:  # whatever MLflow raises, the stage goes on and the spool stays
        (folder / "error").write_text(f"{tracking_uri(root)}: {' '.join(str(error).split())[:200]}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
