"""One at a time: a run in a workspace, and a process that works at a stage.

`python -m pipeline.dvc.workspace_lock COMMAND...` becomes COMMAND, and holds the workspace while it runs. What COMMAND starts, and is given the
open lock, is of the same run: `make repro` chooses an experiment, runs it and tells its results under one lock.
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

_HELD = "LABELMINT_WORKSPACE_LOCK"  # the descriptor by which a parent holds the workspace
_ORPHAN_SECONDS = 75.0  # what a stage may take to save, and some


@contextmanager
def locked_workspace(root: Path) -> Iterator[None]:
    """Within the block no other run begins in this workspace. Raises: InputError when one is at work."""
    with _workspace(root).open("a") as file:
        _hold(_inherited(file.fileno()), root)
        yield


def _inherited(own: int) -> int:
    """The parent's descriptor of the lock where this process was given it, else `own`, which is another opening of the same file."""
    given = os.environ.get(_HELD, "")
    with suppress(ValueError, OSError):
        if os.path.samestat(os.fstat(int(given)), os.fstat(own)):
            return int(given)
    return own


def _workspace(root: Path) -> Path:
    path = root / ".dvc" / "tmp" / "labelmint.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _hold(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another run is at work in {root}; wait for it, or stop it") from None
    _mend(root / ".dvc" / "tmp" / "rwlock")


def _mend(path: Path) -> None:
    """DVC that is killed while it writes its table of locks leaves half of it, and every later command would fail at that."""
    if _whole(path):
        return
    from dvc.lock import LockError, make_lock

    # Under the lock that DVC writes it by: another command may be about it. Then it is that one's.
    with suppress(LockError), make_lock(f"{path}.lock", tmp_dir=str(path.parent)):
        if not _whole(path):
            path.unlink()


def _whole(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


@contextmanager
def single_instance(root: Path, name: str) -> Iterator[None]:
    """Within the block no other process works at the stage `name` for DVC.

    DVC that is killed leaves its stage behind. That ends by itself (`labelmint.runtime.process_pool.end_with_parent`), but may still be
    saving when DVC starts the next one. Raises: InputError when it does not end in time.
    """
    folder = root / ".dvc" / "tmp"
    of_many = (
        os.environ.get("RANK", "0") != "0"
    )  # torchrun starts several processes for one stage, of which one holds the lock
    if of_many or not folder.is_dir():
        yield
        return
    with (folder / f"labelmint-{name}.lock").open("a") as file:
        until = time.monotonic() + _ORPHAN_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise InputError(f"another process works at {name} in {root}; wait for it, or stop it") from None
                time.sleep(0.2)
        yield


def main(command: list[str]) -> None:
    root = Path.cwd()
    try:
        descriptor = os.open(_workspace(root), os.O_WRONLY | os.O_CREAT)
        _hold(descriptor, root)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a workspace that cannot be written
        print(f"error: {failures.describe(error)}", file=sys.stderr)
        sys.exit(1)
    # A shell hands it to what it starts; DVC does not, and so no stage outlives its run with it.
    os.set_inheritable(descriptor, True)
    os.environ[_HELD] = str(descriptor)
    # The command that the person gave, without a shell.
    os.execvp(command[0], command)  # nosec B606


if __name__ == "__main__":
    main(sys.argv[1:])
