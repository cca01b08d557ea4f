"""Limits of unit tests, enforced: no process, no connection, no more than two seconds."""

from __future__ import annotations

import sys
import time

import pytest

LIMIT_SECONDS = 2.0
"""Of processor time, which does not grow when other programs use the machine."""
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
        pytest.fail(
            f"took {used:.1f} s of processor time, {passed:.1f} s in all; the limit is {LIMIT_SECONDS:g} s: "
            "make it smaller, or move it to tests/integration",
            pytrace=False,
        )
    return result


@pytest.fixture(scope="session", autouse=True)
def imports_of_optimizers() -> None:
    """Import what building the first optimizer imports, which takes longer than a unit test may."""
    import torch._dynamo  # noqa: F401


@pytest.fixture
def workspace() -> None:
    """A unit test does not run all stages first."""
    pytest.fail("tests/unit has no workspace: make small arrays, or move the test to tests/integration")
