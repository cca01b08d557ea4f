"""A flow run's sign of life: a file that it touches. Stages on other machines stop when it is gone or no longer touched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0


@contextmanager
def watched(lease: Path, on_gone: Callable[[], None]) -> Iterator[None]:
    """Within the block, call on_gone once when `lease` is removed or has not changed for two minutes."""
    done = threading.Event()

    def watch() -> None:
        seen, since = -1, time.monotonic()
        while not done.wait(_POLL_SECONDS):
            try:
                touched = lease.stat().st_mtime_ns
            except OSError:
                return on_gone()
            if touched != seen:  # compared with itself only: clocks of two machines differ
                seen, since = touched, time.monotonic()
            elif time.monotonic() - since > _PATIENCE_SECONDS:
                return on_gone()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
