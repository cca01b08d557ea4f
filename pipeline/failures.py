"""How an error ends a command: one line that says what to do, and an exit code."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from labelmint.runtime.errors import DivergedError, InputError, Unreachable

FAILURE, USER_ERROR = 1, 2
UNREACHABLE = 75  # EX_TEMPFAIL of sysexits.h: the same attempt may succeed later
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT, 128 + SIGTERM

_MEMORY = "out of memory; close other programs, or lower batch_size and compute.workers"
# Messages of torch and its libraries, which raise no more than a RuntimeError.
_MEMORY_PHRASES = (
    "can't allocate memory",
    "cannot allocate memory",
    "std::bad_alloc",
    "cuda error: out of memory",
    "alloc_failed",
)
# Whole messages of oneDNN without memory; with more words after them they mean something else.
_MEMORY_MESSAGES = ("could not create a primitive", "could not create a memory object")
_HTTP_CLIENTS = ("httpx", "httpcore")  # used by Prefect only


class Terminated(BaseException):
    """SIGTERM as an exception, so that files are closed and workers are stopped on the way out."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise Terminated upon SIGTERM within the block. Main thread only."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def outcome(error: BaseException) -> tuple[str, int]:
    """Message in one line, and exit code."""
    if isinstance(error, Unreachable) or type(error) is ConnectionError:
        return str(error), UNREACHABLE
    if isinstance(error, InputError):
        return str(error), USER_ERROR
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; run again to continue", INTERRUPTED
    if isinstance(error, Terminated):
        return "terminated; run again to continue", TERMINATED
    if isinstance(error, ModuleNotFoundError):
        return _missing_package(error), USER_ERROR
    if isinstance(error, DivergedError):
        return str(error), FAILURE
    return describe(error), FAILURE


def _missing_package(error: ModuleNotFoundError) -> str:
    """`.venv/bin/dvc repro` starts the stages with the Python that is first on the PATH, whichever it is."""
    return (
        f"{sys.executable} has no package '{error.name}': activate the project's environment with "
        "`. .venv/bin/activate`, or run `make repro`; `labelmint doctor` compares the installed packages"
    )


def describe(error: BaseException) -> str:
    """One line about a failure of the program or the machine."""
    if _is_out_of_memory(error):
        return _MEMORY
    if isinstance(error, OSError):
        return _describe_os_error(error)
    if type(error).__module__.partition(".")[0] in _HTTP_CLIENTS:
        return (
            f"Prefect's server was lost ({_with_type(error)}); finished stages are kept; run again to "
            "continue, after starting the server if PREFECT_API_URL names one"
        )
    return _with_type(error)


def _with_type(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, also in a worker. torch's class is known by name, without importing torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    message = str(error).lower()
    return isinstance(error, RuntimeError) and (
        any(phrase in message for phrase in _MEMORY_PHRASES) or message in _MEMORY_MESSAGES
    )


def _describe_os_error(error: OSError) -> str:
    path = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path}no space left to write; free some disk space and run again to continue"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{path}cannot be written ({error.strerror}); fix the permissions and run again"
    return f"{path}{error.strerror or error}"
