"""The heartbeat file of a flow run, which it touches while it lives.

Stages, also those on other machines, stop when the file is removed or no longer touched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 120.0


@contextmanager
def watched(heartbeat: Path, on_lost: Callable[[], None]) -> Iterator[None]:
    """Within the block, call `on_lost` once if `heartbeat` is removed or has not changed for two minutes."""
    done = threading.Event()

    def watch() -> None:
        last_touch, since = -1, time.monotonic()
        while not done.wait(_POLL_SECONDS):
            try:
                touched = heartbeat.stat().st_mtime_ns
            except OSError:
                return on_lost()
            if touched != last_touch:  # compared with itself only: clocks of two machines differ
                last_touch, since = touched, time.monotonic()
            elif time.monotonic() - since > _TIMEOUT_SECONDS:
                return on_lost()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
