"""End a process when the process that started it dies. Linux only; elsewhere these functions do nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int | None = None) -> None:
    """Send SIGTERM to this process when its parent dies, even by SIGKILL, or when it is dead already.

    parent: its process id, needed if it runs in another session.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if orphaned() if parent is None else os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent_of_shell() -> None:
    """Send SIGTERM to this process when the parent of its shell dies.

    DVC starts a command with `sh -c`. bash and zsh replace themselves by the command, but dash waits for it.
    """
    shell = os.getppid()
    with suppress(OSError, AttributeError):
        line = Path(f"/proc/{shell}/cmdline").read_bytes().split(b"\0")
        if len(line) != 4 or line[1] != b"-c":  # program, option, command, and nothing after the last NUL
            return
        grandparent = _parent_of(shell)
        descriptor = os.pidfd_open(grandparent)
        if _parent_of(shell) != grandparent or os.getsid(grandparent) != os.getsid(0):  # it is dead already
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=_terminate_after, args=(descriptor,), daemon=True).start()


def _parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def _terminate_after(descriptor: int) -> None:
    """Wait for the process behind a pidfd to end, then send SIGTERM to this one."""
    # The signal is for the main thread, which may sleep. A signal handled in this thread would not wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    connection.wait([descriptor])
    os.kill(os.getpid(), signal.SIGTERM)


def orphaned() -> bool:
    """True if the parent is of another session: an orphan is adopted by init, or by a subreaper."""
    return os.getsid(os.getppid()) != os.getsid(0)
