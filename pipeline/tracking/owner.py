"""The process that a run ends with, if it is not the one that records the run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

RUN_OWNER = "LABELMINT_RUN_OWNER"
"""Environment variable: key of the process that a run ends with, if several processes of DVC belong to it."""


@dataclass(frozen=True)
class Owner:
    """A process on this machine.

    created: when it started, in seconds since the machine did: unlike a date, a clock that is set leaves it.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, process: Any) -> Owner:
        """Owner of psutil's process. Raises: psutil.Error."""
        import psutil

        return cls(process.pid, round(process.create_time() - psutil.boot_time(), 2))

    @classmethod
    def of_this_process(cls) -> Owner:
        import psutil

        return cls.of(psutil.Process())

    @classmethod
    def of_key(cls, key: str) -> Owner:
        """Raises: ValueError if it is no `key`."""
        pid, created = map(int, key.split("."))
        return cls(pid, created / 100)

    @property
    def key(self) -> str:
        """The same text in every process, and for no other process."""
        return f"{self.pid}.{round(100 * self.created)}"

    def is_alive(self) -> bool:
        """Whether it runs; another process can have got its id since."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(Owner.of(process).created - self.created) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def owner_of_run(stage: str) -> Owner | None:
    """The process that the run of this stage ends with: the one in RUN_OWNER, or DVC's.

    DVC's is the nearest one above that is not part of the stage. None if there is none, or without psutil.
    """
    try:
        import psutil
    except ImportError:
        return None
    if key := os.environ.get(RUN_OWNER):
        return Owner.of_key(key)
    try:
        for process in psutil.Process().parents():
            if process.environ().get("DVC_STAGE") != stage:  # DVC sets it for the shell and what that starts
                return Owner.of(process)
    except psutil.Error:
        pass
    return None
