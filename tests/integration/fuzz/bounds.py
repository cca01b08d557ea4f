"""Bounds of a fuzz test: the number of examples, and the seconds that each may take.

By default each test tries a few examples, the same ones on every run. `LABELMINT_FUZZ=5000` tries that many
per test, different ones on every run.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from labelmint.runtime.progress import printable

EXAMPLES = int(os.environ.get("LABELMINT_FUZZ", "0"))
SECONDS = 30


class HangError(BaseException):
    """An example that takes too long. Not an Exception, so that the tested code does not handle it."""


@contextmanager
def time_limit() -> Iterator[None]:
    """End the block after SECONDS. Raises: HangError."""

    def end(signum: int, frame: Any) -> None:
        raise HangError(f"took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bounded(examples: int = 20) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a test that has @given: limit its examples, and the time of each."""

    def decorate(test: Any) -> Callable[..., None]:
        inner = test.hypothesis.inner_test

        @functools.wraps(inner)
        def limited(*arguments: Any, **named: Any) -> None:
            with time_limit():
                inner(*arguments, **named)

        test.hypothesis.inner_test = limited
        configured: Callable[..., None] = settings(
            max_examples=EXAMPLES or examples,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            # Without the phase `explain`: its tracing is so slow that the time limit would end examples.
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(test)
        return configured

    return decorate


def assert_one_line(error: Exception, printed: bool = False) -> None:
    """Check a message. printed: as commands print it, which escape the control characters of names."""
    message = printable(str(error)) if printed else str(error)
    assert message
    assert "\n" not in message
    assert len(message) < 2000
