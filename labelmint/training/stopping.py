"""Stop between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 2


class StopRequest:
    """A stop signal and its effect.

    number: the signal received, or None. granted: whether all progress is saved and training has stopped.
    """

    number: int | None = None
    granted: bool = False
    received: float = 0.0

    def grant(self) -> None:
        self.granted = True
        self.number = self.number or signal.SIGTERM  # another process received the signal

    def receive(self, number: int, _: object) -> None:
        now = time.monotonic()
        if self.number is not None and now - self.received > _PATIENCE_SECONDS:
            # The user insists: do not wait for the step.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number, self.received = number, now


@contextmanager
def defer_signals() -> Iterator[StopRequest]:
    """Record SIGINT and SIGTERM within the block; raise them at its end, with their usual handlers.

    Only the main thread can do this; in another thread no signal is recorded.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    handlers = {each: handler for each, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for each in handlers:
        signal.signal(each, request.receive)
    try:
        yield request
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        if request.number is not None:
            signal.raise_signal(request.number)
