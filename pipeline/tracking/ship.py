"""Ships spools to MLflow: `python -m pipeline.tracking.ship`, in the project's folder.

Runs apart from the stages, so that nothing MLflow does can stop or slow one. One process serves all stages of a workspace,
since importing MLflow takes longer than many a stage. A spool that was shipped to its end is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.models import register
from pipeline.tracking.spool import ERROR, SPOOL, public_uri, without_credentials

if TYPE_CHECKING:
    from pipeline.tracking.store import Store

LINGER = "LABELMINT_SHIPPER_LINGER"
_LINGER_SECONDS = 20.0  # the next stage is usually there by then
_POLL_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


def ship(store: Store, folder: Path) -> bool:
    """Ship what is new in one spool. True when the run is over and all of it is in MLflow; then the spool is gone."""
    with locked(folder / "shipping") as mine:
        if not mine or not (folder / "run.json").exists():  # another process ships it, or has
            return False
        header = json.loads((folder / "run.json").read_text())
        alive = _alive(header)
        cursor_file = folder / "shipped"
        shipped = int(cursor_file.read_text()) if cursor_file.exists() else 0
        content = (folder / "events.jsonl").read_bytes()
        complete = content.rfind(b"\n") + 1
        everything = [json.loads(line) for line in content[:complete].splitlines()]
        new = everything[content[:shipped].count(b"\n") :]
        run_id = store.run(folder.name, header)
        store.send(run_id, folder, header, new)  # all of it can be sent twice and is there once
        cursor_file.write_text(str(complete))
        last = everything[-1] if everything else {}
        ended = last.get("end", None if alive else "KILLED")
        if ended is None or _has_parts(folder):
            return False
        store.finish(run_id, folder.name, header, ended, last.get("time"))
        for event in everything:
            if "model" in event:  # at last, since it takes longer than all else
                register(store, run_id, folder / "files" / event["file"], event["model"])
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _has_parts(folder: Path) -> bool:
    """Whether stages of this pipeline run are still to be shipped."""
    headers = (json.loads((other / "run.json").read_text()) for other in waiting(folder.parent.parent))
    return any(header["parent"] == folder.name for header in headers)


def waiting(root: Path) -> list[Path]:
    """Spools that are there, oldest first."""
    return sorted((path.parent for path in (root / SPOOL).glob("*/run.json")), key=lambda path: path.name)


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock that dies with the process. False when its folder is gone or, without `wait`, another process has it."""
    try:
        file = path.open("a")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def _alive(header: dict[str, Any]) -> bool:
    if header["host"] != socket.gethostname():
        return True  # its end cannot be seen from here, only read
    try:
        os.kill(header["pid"], 0)
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def _own(root: Path) -> list[Path]:
    """Spools that are meant for the store that this process serves."""
    return [
        folder for folder in waiting(root) if json.loads((folder / "run.json").read_text())["uri"] == public_uri(root)
    ]


def _serve(root: Path) -> None:
    """Ship until there has been nothing to do for a while, or MLflow fails and no stage is left that might see it mend."""
    from pipeline.tracking.store import Store

    linger = float(os.environ.get(LINGER, _LINGER_SECONDS))
    store, pause, idle_since = None, _POLL_SECONDS, time.monotonic()
    while True:
        folders = _own(root)
        try:
            if folders:
                store = store or Store(root)
                for folder in folders:
                    ship(store, folder)
                (root / SPOOL / ERROR).unlink(missing_ok=True)
            pause = _POLL_SECONDS
        except Exception as error:  # whatever MLflow raises, the stages go on and the spools stay
            store = None  # what it remembers of runs may no longer hold
            (root / SPOOL / ERROR).write_text(f"{public_uri(root)}: {without_credentials(root, error)}")
            if not any(_alive(json.loads((folder / "run.json").read_text())) for folder in _own(root)):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if folders:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > linger:
            return
        time.sleep(pause)


def main() -> int:
    os.nice(5)  # the stages come first
    root = Path.cwd()
    name = hashlib.sha256(public_uri(root).encode()).hexdigest()[:8]
    while True:
        with locked(root / SPOOL / f"shipper-{name}.lock") as mine:
            if not mine:
                return 0
            _serve(root)
        # One that was started in the last moment has seen the lock and left.
        if not _own(root) or (root / SPOOL / ERROR).exists():
            return 0


if __name__ == "__main__":
    sys.exit(main())
