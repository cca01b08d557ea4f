"""Limits of unit tests, enforced: no process, no connection, no more than two seconds."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

LIMIT_SECONDS = 2.0
"""Of processor time on a machine that makes the reference sums in REFERENCE_SECONDS.

Processor time too grows on a slow machine, or beside programs that share its caches and cores.
"""
REFERENCE_SECONDS = 0.06
WALL_SECONDS = 30.0
"""A test that sleeps uses no processor time."""

_FORBIDDEN = frozenset(
    (
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "subprocess.Popen",
    )
)
_guarded = False


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _guarded and event in _FORBIDDEN:
        raise AssertionError(
            f"a unit test called {event}{arguments!r:.200}: move it to tests/integration or tests/system"
        )


sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Guard the test itself; fixtures of the session are set up before."""
    global _guarded
    started, began = time.process_time(), time.monotonic()
    _guarded = True
    try:
        result = yield
    finally:
        _guarded = False
    used, passed = time.process_time() - started, time.monotonic() - began
    measures_coverage = item.config.pluginmanager.hasplugin("_cov")  # which doubles the time of a test
    if not measures_coverage and (used > LIMIT_SECONDS or passed > WALL_SECONDS):
        slowness = max(1.0, _seconds_of_reference() / REFERENCE_SECONDS)
        if used > LIMIT_SECONDS * slowness or passed > WALL_SECONDS * slowness:
            pytest.fail(
                f"took {used:.1f} s of processor time, {passed:.1f} s in all; the limit is "
                f"{LIMIT_SECONDS * slowness:.1f} s here: make it smaller, or move it to tests/integration",
                pytrace=False,
            )
    return result


def _seconds_of_reference() -> float:
    """Processor time of fixed sums of integers and matrices, as tests make them."""
    started, matrix = time.process_time(), np.ones((200, 200))
    for _ in range(20):
        sum(number * number for number in range(20_000))
        matrix = np.tanh(matrix @ matrix)
    return time.process_time() - started


@pytest.fixture(scope="session", autouse=True)
def imports_of_optimizers() -> None:
    """Import what building the first optimizer imports, which takes longer than a unit test may."""
    import torch._dynamo  # noqa: F401


@pytest.fixture
def short_warm_up(monkeypatch) -> None:
    """Capture graphs in the second step: the first finds its draws, the others warm up what a GPU has."""
    monkeypatch.setattr("labelmint.training.engine.together._WARM_UP_STEPS", 1)


@pytest.fixture
def workspace() -> None:
    """A unit test does not run all stages first."""
    pytest.fail("tests/unit has no workspace: make small arrays, or move the test to tests/integration")
