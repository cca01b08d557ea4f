"""Ships spools to MLflow and other trackers: `python -m pipeline.tracking.ship`, in the project's folder.

It runs in its own process, so that no tracker can stop or slow a stage. One process serves all stages of
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
from pathlib import Path
from typing import Any

from pipeline.probes import bypass_proxy
from pipeline.project import seconds
from pipeline.tracking import refusals
from pipeline.tracking.address import public_uri, without_credentials
from pipeline.tracking.destinations import MAIN, Destination, Spool, connect
from pipeline.tracking.owner import Owner
from pipeline.tracking.spool_folder import ERROR, SPOOL, locked, waiting

LINGER = "LABELMINT_SHIPPER_LINGER"
_LINGER_SECONDS = 20.0  # the next stage has usually started by then
_POLL_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 30.0


def ship(destination: Destination, name: str, folder: Path) -> bool:
    """Ship the new events of one spool to the destination of this name.

    What the destination refuses is set aside (`refusals.py`).

    Returns: True if the run has ended and every destination has all of it; then the spool is removed.
    """
    with locked(folder / "shipping") as mine:
        if not mine or not (folder / "run.json").exists():  # another process ships it, or has done so
            return False
        try:
            header = _header(folder)
            finished = {each: folder / f"finished-{each}" for each in destinations_of(header)}
            if not finished[name].exists() and not _ship_new(destination, name, folder, header):
                return False
        except Exception as error:  # of the run itself: a destination refuses single records
            if not refusals.is_refusal(error) or not destination.answers():
                raise
            root = folder.parent.parent
            refusals.set_spool_aside(root, folder, without_credentials(root, error))
            return True
        finished[name].touch()
        if not all(mark.exists() for mark in finished.values()):
            return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def destinations_of(header: dict[str, Any]) -> list[str]:
    """Names of the trackers that a spool is shipped to."""
    return [MAIN, *header.get("trackers", ())]


def _ship_new(destination: Destination, name: str, folder: Path, header: dict[str, Any]) -> bool:
    """Ship a spool that is locked. Returns: whether the destination has the run to its end."""
    alive = _is_alive(header)
    cursor = folder / f"shipped-{name}"
    shipped = cursor.read_bytes() if cursor.exists() else b""
    shipped_bytes = int(shipped) if shipped.isdigit() else 0  # sending an event twice records it once
    content = (folder / "events.jsonl").read_bytes()
    complete_bytes = content.rfind(b"\n") + 1
    events = _events(folder, content[:complete_bytes], shipped_bytes)
    every = [event for _, event in events]
    spool = Spool(folder, header, every)
    destination.send(spool, [event for position, event in events if position >= shipped_bytes])
    cursor.write_bytes(str(complete_bytes).encode())
    last = every[-1] if every else {}
    status = last.get("end", None if alive else _status_without_end(header, every))
    if status is None or _has_unshipped_children(folder):
        return False
    destination.finish(spool, status, last.get("time"))
    return True


def _events(folder: Path, content: bytes, shipped_bytes: int) -> list[tuple[int, dict[str, Any]]]:
    """Position in bytes, and event, of each line. A damaged line, as after a power cut, is set aside."""
    events, position = [], 0
    for line in content.splitlines(keepends=True):
        try:
            events.append((position, json.loads(line)))
        except ValueError as error:
            if position >= shipped_bytes:
                record = {"line": line.decode(errors="backslashreplace")}
                refusals.set_aside(folder.parent.parent, folder.name, record, str(error))
        position += len(line)
    return events


class Shipment:
    """Passes over the spools of a project. It connects to a tracker when a spool first needs it."""

    def __init__(self, root: Path):
        self.root = root
        self._connected: dict[str, Destination] = {}

    def ship(self, folders: list[Path]) -> tuple[int, list[str]]:
        """Ship what is new in `folders`. Returns: how many are done; the first error of each tracker.

        A spool that fails does not keep the others from being shipped. A tracker that does not answer is left
        out of the rest of the pass, and connected to again in the next one.
        """
        done, errors, silent = 0, dict[str, str](), set[str]()
        for folder in folders:
            for name in destinations_of(header_or_none(folder) or {}):
                if name in silent:
                    continue
                try:
                    if name not in self._connected:
                        self._connected[name] = connect(name, self.root)
                    done += ship(self._connected[name], name, folder)
                except Exception as error:  # whatever a tracker raises, the stages continue
                    where = public_uri(self.root) if name == MAIN else name
                    errors.setdefault(name, f"{where}: {without_credentials(self.root, error)}")
                    # Its cached ids of runs may be outdated.
                    destination = self._connected.pop(name, None)
                    if destination is None or not destination.answers():
                        silent.add(name)
        return done, list(errors.values())


def _status_without_end(header: dict[str, Any], events: list[dict[str, Any]]) -> str:
    """Status of a run whose process ended without recording it: for `dvc repro`, that of its stages."""
    began = {event["began"] for event in events if "began" in event}
    ended = {event["stage"]: event["status"] for event in events if "stage" in event}
    if "created" not in header or began - ended.keys() or "KILLED" in ended.values():
        return "KILLED"
    return "FAILED" if "FAILED" in ended.values() else "FINISHED"


def _has_unshipped_children(folder: Path) -> bool:
    """Whether stages of this pipeline run are still to be shipped."""
    others = [header_or_none(other) for other in waiting(folder.parent.parent)]
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


def header_or_none(folder: Path) -> dict[str, Any] | None:
    """None for a spool that is gone or damaged."""
    try:
        header = _header(folder)
    except (FileNotFoundError, ValueError):
        return None
    return header if isinstance(header, dict) and "uri" in header else None


def _spools_for_this_store(root: Path) -> list[Path]:
    """Spools whose records are meant for the MLflow that this process uses, and damaged ones."""
    found = [(folder, header_or_none(folder)) for folder in waiting(root)]
    return [folder for folder, header in found if header is None or header["uri"] == public_uri(root)]


def _serve(root: Path) -> None:
    """Ship until nothing is left for a while, or until a tracker fails while no stage runs."""
    linger = seconds(LINGER, _LINGER_SECONDS)
    shipment, pause, idle_since = Shipment(root), _POLL_SECONDS, time.monotonic()
    while True:
        folders = _spools_for_this_store(root)
        _, errors = shipment.ship(folders)
        if errors:
            (root / SPOOL / ERROR).write_text(errors[0], encoding="utf-8")
            headers = map(header_or_none, _spools_for_this_store(root))
            if not any(_is_alive(header) for header in headers if header):
                return
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        else:
            if folders:
                (root / SPOOL / ERROR).unlink(missing_ok=True)
            pause = _POLL_SECONDS
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
