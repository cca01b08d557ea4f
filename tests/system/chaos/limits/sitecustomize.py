"""Limits of a stage's process whose PYTHONPATH has this folder, from its start on.

It may write no file larger than $CHAOS_FILE_BYTES, and the first process that it forks may allocate no more
than $CHAOS_MEMORY_BYTES beyond what it has.
"""

import os
import resource
import sys


def _limit_memory() -> None:
    pages = int(open("/proc/self/statm", encoding="utf-8").read().split()[0])  # noqa: SIM115
    limit = pages * resource.getpagesize() + int(os.environ["CHAOS_MEMORY_BYTES"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _count_fork() -> None:
    global _forks
    _forks += 1


_forks = 0
if "pipeline.stage" in sys.orig_argv:
    if "CHAOS_FILE_BYTES" in os.environ:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["CHAOS_FILE_BYTES"]),) * 2)
    if "CHAOS_MEMORY_BYTES" in os.environ:
        os.register_at_fork(
            before=_count_fork, after_in_child=lambda: _limit_memory() if _forks == 1 else None
        )
