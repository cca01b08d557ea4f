"""End a process when the one that started it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path

_STOPPING = {signal.SIGINT, signal.SIGTERM}


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """SIGTERM to this process when the one that started it is gone, killed perhaps, also when it went before. Linux only; elsewhere
    the process goes on."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if orphaned():
            os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent_of_shell() -> None:
    """The same where a shell stands between, as DVC's does where it is dash: bash and zsh hand their process over to the only command
    that they are given by `-c`, dash stays and waits for it."""
    shell = os.getppid()
    with suppress(OSError, AttributeError):
        line = Path(f"/proc/{shell}/cmdline").read_bytes().split(b"\0")
        if len(line) != 4 or line[1] != b"-c":  # program, option, command, and nothing after the last NUL
            return
        beyond = _parent_of(shell)
        ends = os.pidfd_open(beyond)
        if _parent_of(shell) != beyond or os.getsid(beyond) != os.getsid(0):  # it is gone already
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=_terminate_after, args=(ends,), daemon=True).start()


def _parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _terminate_after(ends: int) -> None:
    """ends: descriptor of a process."""
    # The signal is for the main thread, which may sleep; one that reached this thread would not wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    connection.wait([ends])
    os.kill(os.getpid(), signal.SIGTERM)


def orphaned() -> bool:
    """An orphan gets another parent, which is of another session than those that a command starts."""
    return os.getsid(os.getppid()) != os.getsid(0)
