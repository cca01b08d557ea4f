"""Tiny projects whose flows run in this process, with the session's Prefect server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.flow.flow_run_result import FlowRunResult, if_complete
from tests.system.servers import UiServers, until
from tests.system.tiny_project import TinyProject


@pytest.fixture(scope="session")
def prefect(ui: UiServers) -> Iterator[Any]:
    """Prefect's client. Flows in this process use the same server."""
    os.environ.update(
        PREFECT_API_URL=f"{ui.prefect}/api", PREFECT_HOME=str(ui.root / "client"), DO_NOT_TRACK="1"
    )
    from prefect.client.orchestration import get_client
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()  # read when Prefect is imported, which an earlier test may have done
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def tiny(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: Any, ui: UiServers
) -> Iterator[TinyProject]:
    """A tiny project, which is the current folder."""
    from pipeline.flow import stage_task

    project = TinyProject(tmp_path / "tiny")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PREFECT_API_URL", f"{ui.prefect}/api")
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    monkeypatch.setenv("LABELMINT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(stage_task.reproduce, "retry_delay_seconds", [0.1, 0.1])
    yield project
    project.kill()


@pytest.fixture
def run(tiny: TinyProject, prefect: Any) -> Callable[..., FlowRunResult]:
    """A function that runs the flow of the tiny project to its end, with the given parameters."""

    def run_flow(**parameters: Any) -> FlowRunResult:
        from pipeline.flow.flow import pipeline

        state = pipeline(**parameters, return_state=True)
        return until(lambda: if_complete(FlowRunResult(prefect, state.state_details.flow_run_id)))

    return run_flow
