"""Locks: one run at a time in a workspace, and one process at a time that works on a stage.

`python -m pipeline.dvc.workspace_lock COMMAND...` runs COMMAND and locks the workspace meanwhile. Processes
that COMMAND starts and that inherit the open lock belong to the same run: `make repro` chooses an experiment,
runs it and prints its results under one lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelmint.runtime.errors import InputError
from pipeline import failures

_INHERITED = "LABELMINT_WORKSPACE_LOCK"
"""Environment variable: the file descriptor by which a parent process holds the lock."""
_ORPHAN_SECONDS = 75.0
"""Longer than a stage takes to save and end."""


@contextmanager
def locked_workspace(root: Path) -> Iterator[None]:
    """Prevent other runs in this workspace within the block.

    Raises: InputError if another run is in progress.
    """
    with _lock_file(root).open("ab") as file:
        _lock(_inherited(file.fileno()), root)
        yield


def _inherited(own: int) -> int:
    """The lock's descriptor that a parent process has passed on, else `own`, which is of the same file."""
    value = os.environ.get(_INHERITED, "")
    with suppress(ValueError, OSError):
        if os.path.samestat(os.fstat(int(value)), os.fstat(own)):
            return int(value)
    return own


def _lock_file(root: Path) -> Path:
    path = root / ".dvc" / "tmp" / "labelmint.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _lock(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another run is in progress in {root}; wait for it, or stop it") from None
    _remove_damaged_table(root / ".dvc" / "tmp" / "rwlock")


def _remove_damaged_table(path: Path) -> None:
    """Remove DVC's table of locks if DVC was killed while it wrote it: every later command would fail."""
    if not _is_damaged(path):
        return
    from dvc.lock import LockError, make_lock

    # DVC writes the table under this lock. If another command holds it, the table is that command's.
    with suppress(LockError), make_lock(f"{path}.lock", tmp_dir=str(path.parent)):
        if _is_damaged(path):
            path.unlink()


def _is_damaged(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


@contextmanager
def single_instance(root: Path, name: str) -> Iterator[None]:
    """Prevent other processes from working on the stage `name` within the block.

    If DVC is killed, its stage ends by itself (`labelmint.runtime.parent_death`), but it may still be saving
    when DVC starts the next one. Raises: InputError if that takes too long.
    """
    folder = root / ".dvc" / "tmp"
    # torchrun starts several processes for one stage; only the first one takes the lock.
    is_secondary = os.environ.get("RANK", "0") != "0"
    if is_secondary or not folder.is_dir():
        yield
        return
    with (folder / f"labelmint-{name}.lock").open("ab") as file:
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError(
                        f"another process is working on {name} in {root}; wait for it, or stop it"
                    ) from None
                time.sleep(0.2)
        yield


def main(command: list[str]) -> None:
    """Lock the workspace in the current folder and replace this process by `command`."""
    root = Path.cwd()
    try:
        descriptor = os.open(_lock_file(root), os.O_WRONLY | os.O_CREAT)
        _lock(descriptor, root)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # e.g. a read-only workspace
        print(f"error: {failures.describe(error)}", file=sys.stderr)
        sys.exit(1)
    # Shells pass the descriptor to the commands that they start. DVC does not, so no stage keeps the lock
    # after its run.
    os.set_inheritable(descriptor, True)
    os.environ[_INHERITED] = str(descriptor)
    # The user's own command, without a shell.
    os.execvp(command[0], command)  # nosec B606


if __name__ == "__main__":
    main(sys.argv[1:])
