"""Faults of servers and of Dask: what `labelmint run` reports, and whether another run ends as without them.

Each function takes a workspace with the outputs of an undisturbed run. It raises subprocess.TimeoutExpired if
a command hangs, which counts as a failure too.
"""

from __future__ import annotations

import os
import signal
from functools import partial

from pipeline.probes import answers
from tests.system.chaos.faults import Verdict, errors
from tests.system.chaos.workspace import (
    TIMEOUT_SECONDS,
    Workspace,
    command_line,
    differences,
    kill,
    occurs,
    stage_processes,
)
from tests.system.servers import UiServers


def server_deaths(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """During `labelmint run`, MLflow's server is killed, or Prefect's, or both with `labelmint ui`.

    Only in the last case is nothing restarted. Afterwards `labelmint run` runs without them.
    """
    messages, ok = {}, True
    for victim in ("mlflow", "prefect", "both"):
        workspace.clear()
        ui = UiServers(workspace.folder)
        try:
            start = workspace.log_size()
            addresses = {"MLFLOW_TRACKING_URI": ui.mlflow, "PREFECT_API_URL": f"{ui.prefect}/api"}
            process = workspace.start("labelmint", "run", **addresses)
            running = occurs(lambda: stage_processes(workspace), 300)
            names = ["mlflow", "prefect"] if victim == "both" else [victim]
            groups = [ui.server(name).pid for name in names]  # raises if it does not run
            if victim == "both":
                ui.process.kill()
            for group in groups:
                os.killpg(group, signal.SIGKILL)
            dead = all(occurs(partial(_is_down, ui, name), 5, 0.02) for name in names)
            code = process.wait(TIMEOUT_SECONDS)
            restarted = victim == "both" or occurs(partial(_serves, ui, victim), 180)
        finally:
            ui.process.send_signal(signal.SIGINT)
            ui.process.wait(90)
        lines = errors(workspace.logged(start))
        messages[victim] = f"exit code {code}: {lines[-1][:300] if lines else 'it completed'}"
        # Without MLflow nothing changes. Without Prefect's server the flow may fail, with a message.
        expected_end = code == 0 or (code in (1, 75) and victim != "mlflow" and bool(lines))
        ok &= running and dead and restarted and expected_end and not stage_processes(workspace)
        ok &= workspace.finish("labelmint", "run") == 0 and not differences(workspace.outputs(), expected)
    return {"ok": ok, "said": messages}


def _serves(ui: UiServers, name: str) -> bool:
    return answers(f"{ui.mlflow}/health" if name == "mlflow" else f"{ui.prefect}/api/health", 0.5)


def _is_down(ui: UiServers, name: str) -> bool:
    return not _serves(ui, name)


def dask_worker_death(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """A Dask worker is killed while a stage runs there."""
    workspace.clear()
    start = workspace.log_size()
    process = workspace.start("labelmint", "run", "--runner", "dask")
    running = occurs(lambda: stage_processes(workspace), 300)
    modules = ("multiprocessing.spawn", "distributed.cli.dask_worker")
    workers = [
        each
        for each in workspace.processes()
        if any(name in " ".join(command_line(each)) for name in modules)
    ]
    kill(workers[:1])
    code = process.wait(TIMEOUT_SECONDS)
    lines = errors(workspace.logged(start))
    occurs(lambda: not workspace.processes(), 60)
    strays = [" ".join(command_line(each)) for each in workspace.processes()]
    ok = running and bool(workers) and not strays and (code == 0 or (code == 1 and bool(lines)))
    ok &= workspace.finish("labelmint", "run") == 0 and not differences(workspace.outputs(), expected)
    messages = f"exit code {code}: {lines[-1][:300] if lines else 'Dask ran it again'}"
    return {"ok": ok, "said": messages, "strays": strays}
