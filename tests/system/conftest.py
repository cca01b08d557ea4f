"""Servers and a real run that tests of this tier share, in one group of tests for one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.clone import Clone
from tests.system.real_run import RealRun
from tests.system.servers import UiServers


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for `--dist loadgroup`: those that share the servers, and else those of one module."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("xdist_group") is None:
            shares_servers = "ui" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("ui" if shares_servers else item.path.stem))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop where pytest-xdist ignores the groups, as 3.8 does under pytest 9.2."""
    if not session.config.getoption("loadgroup", default=False):
        return
    if not all("@" in item.nodeid for item in session.items if item.get_closest_marker("xdist_group")):
        raise pytest.UsageError("this pytest-xdist does not group tests under this pytest")


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiServers]:
    """Prefect's and MLflow's servers, as `labelmint ui` starts them, in a shrunk copy of the project."""
    servers = UiServers(Clone(tmp_path_factory.mktemp("ui")).folder)
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def real(ui: UiServers) -> RealRun:
    """A finished small run of the whole pipeline, and the servers that have its records."""
    return RealRun(ui)
