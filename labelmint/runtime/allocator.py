"""How the C library keeps the memory that a process frees."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT_BYTES = 256 << 20
_MAPPED_BYTES = 32 << 20  # the most that glibc allows; larger blocks are always returned


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of returning it to the system, up to 256 MiB.

    A training step frees its tensors and allocates the same ones again. Where they were returned meanwhile,
    each page faults anew, which takes 7 % of a step of DCGANs at 28 and 32 pixels (benchmarks/allocator.py).
    Does nothing without glibc.
    """
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    library.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
