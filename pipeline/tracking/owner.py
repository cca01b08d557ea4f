"""The process that a run ends with, if it is not the one that records the run."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """A process on this machine. created: when it started, in seconds since the epoch."""

    pid: int
    created: float

    @classmethod
    def of_this_process(cls) -> Owner:
        import psutil

        return cls(os.getpid(), psutil.Process().create_time())

    def spool_name(self, run: str) -> str:
        """Name of the spool of its run, the same in every process, which sorts by time as others do."""
        return f"{int(self.created * 1e9)}-{run}-{self.pid}"

    def is_alive(self) -> bool:
        """Whether it runs; another process can have got its id since."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def dvc_process(stage: str) -> Owner | None:
    """The process of DVC that started this stage: the nearest one above that is not part of the stage.

    None if there is none, or without psutil.
    """
    try:
        import psutil
    except ImportError:
        return None
    try:
        for process in psutil.Process().parents():
            if process.environ().get("DVC_STAGE") != stage:  # DVC sets it for the shell and what that starts
                return Owner(process.pid, process.create_time())
    except psutil.Error:
        pass
    return None
