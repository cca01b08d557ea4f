"""The process of a stage whose PYTHONPATH has this folder may write no file larger than $CHAOS_FILE_BYTES, and the first process that
it forks may take no more than $CHAOS_MEMORY_BYTES beyond what it has. From its first moment on, so that nothing is left to chance."""

import os
import resource
import sys


def _limit_memory() -> None:
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    most = pages * resource.getpagesize() + int(os.environ["CHAOS_MEMORY_BYTES"])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _before() -> None:
    global _forks
    _forks += 1


_forks = 0
if "pipeline.stage" in sys.orig_argv:
    if "CHAOS_FILE_BYTES" in os.environ:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["CHAOS_FILE_BYTES"]),) * 2)
    if "CHAOS_MEMORY_BYTES" in os.environ:
        os.register_at_fork(before=_before, after_in_child=lambda: _forks == 1 and _limit_memory())
