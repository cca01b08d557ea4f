"""Stop when a step is done, not in the middle of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 2


class Request:
    """number: of the stop signal that came, or None. granted: whether all progress is saved and the work has ended."""

    number: int | None = None
    granted: bool = False
    at: float = 0.0

    def grant(self) -> None:
        self.granted = True
        self.number = self.number or signal.SIGTERM  # where another process had heard it

    def note(self, number: int, _: object) -> None:
        now = time.monotonic()
        if self.number is not None and now - self.at > _PATIENCE_SECONDS:  # asked again: do not wait for the step
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number, self.at = number, now


@contextmanager
def defer_signals() -> Iterator[Request]:
    """Within the block, SIGINT and SIGTERM are noted only; at its end they take their usual course.

    Only the main thread may do so; elsewhere nothing is ever noted.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    before = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for each in before:
        signal.signal(each, request.note)
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if request.number is not None:
            signal.raise_signal(request.number)
