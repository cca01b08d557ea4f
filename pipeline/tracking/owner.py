"""The process that a run ends with, if it is not the one that records the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
                return Owner.of(process)
    except psutil.Error:
        pass
    return None
