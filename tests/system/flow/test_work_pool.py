"""The flow on a work pool of Prefect, as docs/cluster.md deploys it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.documents import blocks, commands
from tests.system.flow.flow_run_result import FlowRunResult, flow_runs, if_complete
from tests.system.servers import until


def test_a_worker_runs_the_documented_deployment(tiny, ui, prefect):
    """The commands as written, in a tiny project that has the project's code."""
    (block,) = (each for each in blocks(ROOT / "docs/cluster.md", "console") if "work-pool" in each)
    create, deploy, work, start = commands(block)
    for package in ("labelmint", "stages", "pipeline"):
        (tiny.root / package).symlink_to(ROOT / package)
    (tiny.root / ".venv").symlink_to(Path(sys.prefix))
    shutil.copytree(ROOT / "docs" / "cluster", tiny.root / "docs" / "cluster")
    environment = tiny.environment(PREFECT_API_URL=f"{ui.prefect}/api", LABELMINT_TRACKING="off")

    def run(command: str) -> None:
        options: dict[str, Any] = {"cwd": tiny.root, "env": environment, "capture_output": True, "text": True}
        done = subprocess.run(["bash", "-c", command], **options, check=False)
        assert done.returncode == 0, f"$ {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

    run(create)
    run(deploy)
    deployment = prefect.read_deployment_by_name("labelmint/on-pool")
    with subprocess.Popen(["bash", "-c", f"exec env {work}"], cwd=tiny.root, env=environment) as worker:
        try:
            run(start)
            (started,) = flow_runs(prefect, deployment_id={"any_": [deployment.id]})
            until(lambda: prefect.read_flow_run(started.id).state.is_final())  # noqa: PLW0108
            result = until(lambda: if_complete(FlowRunResult(prefect, started.id)))
        finally:
            worker.terminate()
    assert result.run.state.is_completed()
    assert set(result.names.values()) == {"Ran"}
    assert (tiny.root / "data" / "report").exists()
    assert result.run.parameters["workers"] == 2
    prefect.delete_deployment(deployment.id)
    prefect.delete_work_pool("labelmint")
