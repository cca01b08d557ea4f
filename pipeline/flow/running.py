"""The commands `labelmint run` and `labelmint serve`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from labelmint.data.download import anonymous, public
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean
from pipeline.flow import prefect_environment
from pipeline.flow.temporary_server import TemporaryServer
from pipeline.probes import answers
from pipeline.project import PARAMS_FILE

_MODULE = "pipeline.cli.main"  # of the command line, where it is not installed as a program


def run_once(root: Path, parameters: dict[str, Any]) -> str:
    """Run the flow once.

    Returns: a sentence that says how the run ended.
    Raises: InputError; RuntimeError if a stage failed or the run was cancelled; KeyboardInterrupt.
    """
    check(root, parameters)
    prefect_environment.prepare(root)
    server = None if prefect_environment.has_server() else TemporaryServer(root)
    if server is None:
        _require_server()
    import dvc.repo  # noqa: F401  # the flow needs it; imported here while the server starts

    from pipeline.flow.flow import pipeline, terminate_like_ctrl_c

    terminate_like_ctrl_c()
    if server:
        server.wait()
    state = pipeline(**parameters, return_state=True)
    if state.is_completed():
        return state.message or ""
    if state.is_cancelled():
        raise RuntimeError(f"cancelled: {state.message}")
    raise RuntimeError(f"{state.message}. Run again to continue; finished stages are not repeated")


def preview(root: Path, parameters: dict[str, Any]) -> str:
    """What `run_once` would do with each stage, and why: a line for each. It needs no server.

    Raises: InputError.
    """
    check(root, parameters)
    from pipeline.dvc import plan
    from pipeline.dvc.workspace_lock import locked_workspace
    from pipeline.settings.assignments import of_run
    from pipeline.settings.override import overridden

    names = str(parameters["experiment"]).split()
    changes = of_run(parameters["percents"], parameters["settings"])
    with locked_workspace(root), overridden(root, names, changes, restore=True):
        return plan.to_text(plan.read(root, parameters["targets"], parameters["force"]))


def start_deployed(root: Path, name: str) -> str:
    """Start a run of a deployment that `serve` has registered, with the deployment's own parameters.

    Returns: a sentence with the name of the run; it runs in the process of `labelmint serve`.
    Raises: InputError if there is no such deployment, or no server; ConnectionError if it does not answer.
    """
    prefect_environment.prepare(root)
    if not prefect_environment.has_server():
        raise InputError(f"no Prefect server: start one with `make ui`, and `labelmint serve --name {name}`")
    _require_server()
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from pipeline.flow.flow import NAME

    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{NAME}/{name}")
        except ObjectNotFound as error:
            raise InputError(
                f"no deployment '{name}': `labelmint serve --name {name}` registers it"
            ) from error
        started = client.create_flow_run_from_deployment(deployment.id)
    return f"started run '{started.name}'; the process of `labelmint serve` runs it"


def _start_command(root: Path, name: str) -> str:
    """Command line that starts a run of the deployment, from any folder and any shell."""
    program = [sys.argv[0]] if Path(sys.argv[0]).name == "labelmint" else [sys.executable, "-m", _MODULE]
    command = shlex.join([*program, "run", "--deployed", name])
    address = shlex.quote(public(os.environ["PREFECT_API_URL"]))
    return f"cd {shlex.quote(str(root))} && PREFECT_API_URL={address} {command}"


def serve(  # noqa: PLR0917
    root: Path,
    name: str,
    cron: str | None,
    timezone: str,
    parameters: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """Register the flow as a deployment of Prefect's server and run it when it is due, until Ctrl-C.

    Args:
        root: The project's folder.
        name: Name of the deployment.
        cron: Schedule; None: only runs that are started in Prefect's UI.
        timezone: Time zone of the schedule, e.g. Europe/Vienna.
        parameters: Parameters of the flow.
        say: Called with each line for the user.

    Raises: InputError if the schedule is invalid or no server is set; ConnectionError if it does not answer.
    """
    check(root, parameters)
    _require_timezone(timezone)
    prefect_environment.prepare(root)
    if not prefect_environment.has_server():
        raise InputError(
            "no Prefect server: start one with `make ui`, or set PREFECT_API_URL; "
            "a schedule needs a server that stays"
        )
    _require_server()
    from prefect.schedules import Cron

    from pipeline.flow.flow import pipeline

    try:
        schedule = Cron(cron, timezone=timezone) if cron else None
    except ValueError as error:
        raise InputError(
            f"--cron '{cron}': {' '.join(str(error).split())}; e.g. '0 2 * * *' for every night at two"
        ) from error
    say(f"deployment '{name}', {f'schedule {cron} ({timezone})' if cron else 'without a schedule'}")
    say(f"start a run now: {_start_command(root, name)}")
    say("Ctrl-C stops; the schedule stays")
    pipeline.serve(
        name=name,
        schedule=schedule,
        limit=1,  # one run per workspace
        parameters=parameters,
        pause_on_shutdown=False,  # a restart must not switch the schedule off
        print_starting_message=False,  # its command does not find the server from the user's shell
    )


def check(root: Path, parameters: dict[str, Any]) -> None:
    """Validate the experiment names and params.yaml before the slow import of Prefect. Raises: InputError."""
    from pipeline.settings import assignments, experiments, schema

    schema.load(root / PARAMS_FILE)
    names = str(parameters.get("experiment") or "").split()
    changes = assignments.of_run(parameters["percents"], parameters["settings"])
    experiments.checked(root, experiments.Choice.named(names) if names else None, changes)


def parse_percents(text: str) -> Sequence[int]:
    """Numbers of a list such as "40,60". Raises: InputError."""
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"--percents '{text}': expected whole numbers such as 40,60") from error


def _require_timezone(name: str) -> None:
    """Raises: InputError for a name that the time zone database lacks, such as the abbreviation CEST."""
    known = available_timezones()
    if known and name not in known:
        places = [each for each in known if "/" in each]  # CEST is not EST
        raise InputError(
            f"--timezone '{name}': no time zone has this name{did_you_mean(name, places)}; "
            "take one of a place, e.g. Europe/Vienna, or UTC"
        )


def _require_server() -> None:
    """Raises: ConnectionError if the server of $PREFECT_API_URL does not answer."""
    address = os.environ["PREFECT_API_URL"]
    if not answers(f"{anonymous(address).rstrip('/')}/health", seconds=5):
        raise ConnectionError(
            f"no Prefect server answers at {public(address)}; start it, or unset PREFECT_API_URL"
        )
