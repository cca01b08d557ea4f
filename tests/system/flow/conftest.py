"""Tiny projects whose flows run in this process, on the session's real Prefect server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.system.flow.flow_runs import Ended, complete
from tests.system.tiny_project import TinyProject
from tests.system.servers import until


@pytest.fixture(scope="session")
def prefect(pages):
    """Prefect's client, and everything that is started in this process uses the same server."""
    os.environ.update(PREFECT_API_URL=f"{pages.prefect}/api", PREFECT_HOME=str(pages.root / "client"), DO_NOT_TRACK="1")
    from prefect.client.orchestration import get_client
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()  # read when Prefect is imported, which an earlier test may have done
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def tiny(tmp_path, monkeypatch, prefect, pages) -> TinyProject:
    from pipeline.flow import stage_task

    project = TinyProject(tmp_path / "tiny")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.prefect}/api")
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    monkeypatch.setattr(stage_task.reproduce, "retry_delay_seconds", [0.1, 0.1])
    return project


@pytest.fixture
def run(tiny, prefect):
    def go(**parameters) -> Ended:
        from pipeline.flow.flow import pipeline

        state = pipeline(**parameters, return_state=True)
        return until(lambda: complete(Ended(prefect, state.state_details.flow_run_id)))

    return go
