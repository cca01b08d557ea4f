"""Ships spools to MLflow: `python -m pipeline.tracking.ship`, in the project's folder.

It runs in its own process, so that MLflow can neither stop nor slow a stage. One process serves all stages of
a workspace, since importing MLflow takes longer than many a stage. A spool is removed when it is shipped to
its end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.probes import bypass_proxy
from pipeline.project import seconds
from pipeline.tracking import refusals
from pipeline.tracking.address import public_uri, without_credentials
from pipeline.tracking.models import register
from pipeline.tracking.owner import Owner
from pipeline.tracking.spool import ERROR, SPOOL, locked, waiting

if TYPE_CHECKING:
    from pipeline.tracking.store import Store

LINGER = "LABELMINT_SHIPPER_LINGER"
_LINGER_SECONDS = 20.0  # the next stage has usually started by then
_POLL_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 30.0


def ship_each(store: Store, folders: Iterable[Path]) -> bool:
    """Ship the new events of spools. One that fails does not keep the others from being shipped.

    Returns: whether one was shipped to its end. Raises: the first error of MLflow's client, at the end.
    """
    shipped, failed = False, None
    for folder in folders:
        try:
            shipped |= ship(store, folder)
        except Exception as error:  # MLflow's clients raise many types
            failed = failed or error
            if not store.answers():
                break
    if failed:
        raise failed
    return shipped


def ship(store: Store, folder: Path) -> bool:
    """Ship the new events of one spool. What MLflow refuses is set aside (`refusals.py`).

    Returns: True if the run has ended and all of it is in MLflow; then the spool is removed.
    """
    with locked(folder / "shipping") as mine:
        if not mine or not (folder / "run.json").exists():  # another process ships it, or has done so
            return False
        try:
            if not _ship(store, folder):
                return False
        except Exception as error:  # of the run itself: single records are refused in Store
            if not refusals.is_refusal(error) or not store.answers():
                raise
            refusals.set_spool_aside(store.root, folder, without_credentials(store.root, error))
            return True
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _ship(store: Store, folder: Path) -> bool:
    """Ship a spool that is locked. Returns: whether its run has ended and all of it is in MLflow."""
    header = _header(folder)
    alive = _is_alive(header)
    cursor = folder / "shipped"
    shipped_bytes = int(cursor.read_bytes()) if cursor.exists() else 0
    content = (folder / "events.jsonl").read_bytes()
    complete_bytes = content.rfind(b"\n") + 1
    events = _events(store.root, folder.name, content[:complete_bytes], shipped_bytes)
    run_id = store.run(folder.name, header)
    store.send(run_id, folder, header, [event for position, event in events if position >= shipped_bytes])
    cursor.write_bytes(str(complete_bytes).encode())  # sending an event twice stores it once
    every = [event for _, event in events]
    last = every[-1] if every else {}
    status = last.get("end", None if alive else _status_without_end(header, every))
    if status is None or _has_unshipped_children(folder):
        return False
    store.finish(run_id, folder.name, header, status, last.get("time"))
    models = [event for event in every if "model" in event]  # last, since they take longer than all the rest

    def register_one(part: Sequence[dict[str, Any]]) -> None:
        register(store, run_id, folder / "files" / part[0]["file"], part[0]["model"])

    store.send_each(run_id, folder.name, models, 1, register_one)
    return True


def _events(root: Path, spool: str, content: bytes, shipped_bytes: int) -> list[tuple[int, dict[str, Any]]]:
    """Position in bytes, and event, of each line. A damaged line, as after a power cut, is set aside."""
    events, position = [], 0
    for line in content.splitlines(keepends=True):
        try:
            events.append((position, json.loads(line)))
        except ValueError as error:
            if position >= shipped_bytes:
                refusals.set_aside(root, spool, {"line": line.decode(errors="backslashreplace")}, str(error))
        position += len(line)
    return events


def _status_without_end(header: dict[str, Any], events: list[dict[str, Any]]) -> str:
    """Status of a run whose process ended without recording it: for `dvc repro`, that of its stages."""
    began = {event["began"] for event in events if "began" in event}
    ended = {event["stage"]: event["status"] for event in events if "stage" in event}
    if "created" not in header or began - ended.keys() or "KILLED" in ended.values():
        return "KILLED"
    return "FAILED" if "FAILED" in ended.values() else "FINISHED"


def _has_unshipped_children(folder: Path) -> bool:
    """Whether stages of this pipeline run are still to be shipped."""
    others = [_header_or_none(other) for other in waiting(folder.parent.parent)]
    return any(header["parent"] == folder.name for header in others if header)


def _is_alive(header: dict[str, Any]) -> bool:
    """Whether the process that writes the spool may still run."""
    if header["host"] != socket.gethostname():
        return True  # only its records can tell
    try:
        os.kill(header["pid"], 0)
        return "created" not in header or Owner(header["pid"], header["created"]).is_alive()
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def _header(folder: Path) -> dict[str, Any]:
    """What identifies a spool's run."""
    header: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    return header


def _header_or_none(folder: Path) -> dict[str, Any] | None:
    """None for a spool that is gone or damaged."""
    try:
        header = _header(folder)
    except (FileNotFoundError, ValueError):
        return None
    return header if isinstance(header, dict) and "uri" in header else None


def _spools_for_this_store(root: Path) -> list[Path]:
    """Spools whose records are meant for the MLflow that this process uses, and damaged ones."""
    found = [(folder, _header_or_none(folder)) for folder in waiting(root)]
    return [folder for folder, header in found if header is None or header["uri"] == public_uri(root)]


def _serve(root: Path) -> None:
    """Ship until nothing is left for a while, or until MLflow fails while no stage runs."""
    from pipeline.tracking.store import Store

    linger = seconds(LINGER, _LINGER_SECONDS)
    store, pause, idle_since = None, _POLL_SECONDS, time.monotonic()
    while True:
        folders = _spools_for_this_store(root)
        try:
            if folders:
                store = store or Store(root)
                ship_each(store, folders)
                (root / SPOOL / ERROR).unlink(missing_ok=True)
            pause = _POLL_SECONDS
        except Exception as error:  # whatever MLflow raises, the stages continue and the spools remain
            store = None  # its cached ids of runs may be outdated
            text = f"{public_uri(root)}: {without_credentials(root, error)}"
            (root / SPOOL / ERROR).write_text(text, encoding="utf-8")
            headers = map(_header_or_none, _spools_for_this_store(root))
            if not any(_is_alive(header) for header in headers if header):
                return
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        if folders:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > linger:
            return
        time.sleep(pause)


def main() -> int:
    """Ship the spools of the current folder. Returns: the exit code."""
    os.nice(5)  # the stages come first
    bypass_proxy()
    root = Path.cwd()
    name = hashlib.sha256(public_uri(root).encode()).hexdigest()[:8]
    while True:
        with locked(root / SPOOL / f"shipper-{name}.lock") as mine:
            if not mine:
                return 0
            _serve(root)
        # A shipper that was started just before this one unlocked has found the lock and ended.
        if not _spools_for_this_store(root) or (root / SPOOL / ERROR).exists():
            return 0


if __name__ == "__main__":
    sys.exit(main())
