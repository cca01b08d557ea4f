"""`labelmint run` and `labelmint serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelmint.data.download import anonymous, public
from labelmint.runtime.errors import InputError
from pipeline.flow import prefect_environment, servers
from pipeline.project import PARAMS_FILE


def run_once(root: Path, parameters: dict[str, Any]) -> str:
    """Returns: how it ended, in a sentence. Raises: InputError; RuntimeError when a stage failed; KeyboardInterrupt."""
    check(root, parameters)
    prefect_environment.prepare(root)
    server = None if prefect_environment.has_server() else servers.Temporary(root)
    if server is None:
        _reachable()
    import dvc.repo  # noqa: F401  # the flow needs it; here, the server comes up meanwhile

    from pipeline.flow.flow import pipeline, terminate_like_ctrl_c
    from pipeline.flow.stage_task import dvc_of

    terminate_like_ctrl_c()
    dvc_of(root)  # begins to import DVC in a process of its own
    if server:
        server.wait()
    state = pipeline(**parameters, return_state=True)
    if state.is_completed():
        return state.message or ""
    if state.is_cancelled():
        raise RuntimeError(f"cancelled: {state.message}")
    raise RuntimeError(f"{state.message}. Run again to go on; what is done is not done again")


def serve(root: Path, name: str, cron: str | None, timezone: str, parameters: dict[str, Any]) -> None:
    """Offer the flow to Prefect's server, scheduled or for its button, until Ctrl-C. Raises: InputError."""
    check(root, parameters)
    prefect_environment.prepare(root)
    if not prefect_environment.has_server():
        raise InputError(
            "no Prefect server: start one with `make ui`, or set PREFECT_API_URL; a schedule needs one that stays"
        )
    _reachable()
    from prefect.schedules import Cron

    from pipeline.flow.flow import pipeline

    try:
        schedule = Cron(cron, timezone=timezone) if cron else None
    except ValueError as error:
        raise InputError(
            f"--cron '{cron}': {' '.join(str(error).split())}; such as '0 2 * * *', each night at two"
        ) from error
    pipeline.serve(
        name=name,
        schedule=schedule,
        limit=1,  # one workspace, one run
        parameters=parameters,
        pause_on_shutdown=False,  # a restart must not switch the schedule off
        print_starting_message=True,
    )


def check(root: Path, parameters: dict[str, Any]) -> None:
    """What a person may have mistyped, before Prefect is imported. Raises: InputError."""
    from pipeline.settings import experiments
    from pipeline.settings import schema as settings

    for name in str(parameters.get("experiment") or "").split():
        experiments.load(root, name)
    settings.load(root / PARAMS_FILE)


def parse_percents(text: str) -> Sequence[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"--percents '{text}': expected whole numbers such as 40,60") from error


def _reachable() -> None:
    import os

    address = os.environ["PREFECT_API_URL"]
    if not prefect_environment.answers(f"{anonymous(address).rstrip('/')}/health", seconds=5):
        raise ConnectionError(f"no Prefect server answers at {public(address)}; start it, or unset PREFECT_API_URL")
