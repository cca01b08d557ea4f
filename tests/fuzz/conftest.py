"""How much is tried: LABELMINT_FUZZ examples a test, the same ones each time; `LABELMINT_FUZZ=5000` for a night, other ones each time."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("LABELMINT_FUZZ", "0"))
SECONDS = 10


class Hangs(BaseException):
    """No kind of error that the code under test turns into a line."""


@contextmanager
def limited() -> Iterator[None]:
    """An alarm that ends what takes longer. Raises: Hangs."""

    def end(signum: int, frame: Any) -> None:
        raise Hangs(f"took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bounded(test: Callable[..., None]) -> Callable[..., None]:
    """For what @given made: so many examples, each of which ends within the time."""
    inner = test.hypothesis.inner_test

    @functools.wraps(inner)
    def limited_inner(*arguments: Any, **named: Any) -> None:
        with limited():
            inner(*arguments, **named)

    test.hypothesis.inner_test = limited_inner
    return settings(
        max_examples=EXAMPLES or 25,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        # Not explain, whose tracing is so slow that the alarm goes off.
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(test)


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> Path:
    from labelmint.gans import archive
    from tests.untrained_generators import untrained

    place = tmp_path_factory.mktemp("generator")
    archive.save(place, untrained("conditional"), {})
    return place
