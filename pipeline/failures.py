"""What is said of a failure of the machine: one line, with what to do about it."""

from __future__ import annotations

import errno

_MEMORY = "out of memory; close other programs, or lower batch_size and compute.workers"
# How torch and its libraries say it where they raise no more than a RuntimeError; `labelmint.runtime.process_pool` says its own line.
_MEMORY_WORDS = ("can't allocate memory", "cannot allocate memory", "std::bad_alloc", "cuda error: out of memory", "alloc_failed")  # fmt: skip
# All that oneDNN says where it can get none; with more words behind it is another matter.
_MEMORY_LINES = ("could not create a primitive", "could not create a memory object")
_CLIENTS = ("httpx", "httpcore")  # by which Prefect speaks to its server, and nobody else here to any


def describe(error: Exception) -> str:
    """One line."""
    if _is_of_memory(error):
        return _MEMORY
    if isinstance(error, OSError):
        return _of_system(error)
    if type(error).__module__.partition(".")[0] in _CLIENTS:
        return f"Prefect's server was lost ({_said(error)}); what is done is kept: run again to go on, and start the server of PREFECT_API_URL before where that names one"
    return _said(error)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_of_memory(error: Exception) -> bool:
    """Also where it came from a worker process, and without torch, whose own class is known by its name."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (any(each in said for each in _MEMORY_WORDS) or said in _MEMORY_LINES)


def _of_system(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{place}no space left to write; free some disk and run again to go on"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{place}cannot be written ({error.strerror}); mend the permissions and run again"
    return f"{place}{error.strerror or error}"
