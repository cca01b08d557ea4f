"""The commands that run stages or serve pages: `run`, `serve` and `ui`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from labelmint.runtime.errors import InputError
from pipeline.cli.options import complete_experiment
from pipeline.flow.prefect_environment import choose_runner
from pipeline.project import project_root

app = typer.Typer()

Experiment = Annotated[
    str,
    typer.Option(
        help="Experiments to apply first, as `use` takes them, e.g. 'default photos'.",
        show_default=False,
        autocompletion=complete_experiment,
    ),
]
Percents = Annotated[
    str,
    typer.Option(
        help="Percentages of the real data, instead of those in params.yaml, e.g. 40,60.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-S",
        "--set",
        metavar="NAME=VALUE",
        help="A setting for this run, e.g. -S training.epochs=5. May be repeated.",
        show_default=False,
    ),
]
KeepGoing = Annotated[bool, typer.Option(help="After a failed stage, run the stages that do not need it.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Stages run at once; on each GPU one. Default: one per GPU, at least one.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run every stage, changed or not.")]
Runner = Annotated[Literal["threads", "dask"], typer.Option(help="Where stages are started.")]
DaskAddress = Annotated[
    str,
    typer.Option(
        help="Address of a Dask scheduler whose workers share this folder. Default: a local one.",
        show_default=False,
    ),
]


@app.command(epilog="Example: labelmint run --workers 2")
def run(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Stages or groups, with the stages they need. Default: all.", show_default=False),
    ] = None,
    *,
    experiment: Experiment = "",
    percents: Percents = "",
    settings: Settings = None,
    workers: Workers = None,
    force: Force = False,
    keep_going: KeepGoing = True,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", "--dry", help="Only show what would run or be restored, and why. Needs no server."
        ),
    ] = False,
    deployed: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Start a run of the deployment that `labelmint serve --name NAME` serves, and return.",
            show_default=False,
        ),
    ] = "",
    runner: Runner = "threads",
    dask_address: DaskAddress = "",
) -> None:
    """Run the DAG once as a Prefect flow.

    Uses the server of `make ui` or $PREFECT_API_URL, or starts a temporary one.
    """
    from pipeline.flow.running import parse_percents, preview, run_once, start_deployed

    if deployed:
        if targets or experiment or percents or settings or force or dry:
            raise InputError("--deployed takes the deployment's own settings; omit the other options")
        typer.echo(start_deployed(project_root(), deployed))
        return
    choose_runner(runner, dask_address)
    parameters = {
        "experiment": experiment,
        "targets": targets or [],
        "percents": parse_percents(percents),
        "settings": " ".join(settings or ()),
        "workers": workers,
        "force": force,
        "keep_going": keep_going,
    }
    typer.echo((preview if dry else run_once)(project_root(), parameters))


@app.command(epilog='Example: labelmint serve --cron "0 2 * * *"')
def serve(
    *,
    cron: Annotated[
        str, typer.Option(help="Schedule in cron syntax. Default: run on request only.", show_default=False)
    ] = "",
    timezone: Annotated[str, typer.Option(help="Time zone of the schedule, e.g. Europe/Vienna.")] = "UTC",
    name: Annotated[str, typer.Option(help="Name of the deployment in Prefect.")] = "scheduled",
    experiment: Experiment = "",
    percents: Percents = "",
    settings: Settings = None,
    workers: Workers = None,
    force: Force = False,
    keep_going: KeepGoing = True,
    runner: Runner = "threads",
    dask_address: DaskAddress = "",
) -> None:
    """Run the flow by schedule, or by the button in Prefect's pages, until Ctrl-C. One run at a time."""
    from pipeline.flow.running import parse_percents
    from pipeline.flow.running import serve as serve_flow

    choose_runner(runner, dask_address)
    parameters = {
        "experiment": experiment,
        "percents": parse_percents(percents),
        "settings": " ".join(settings or ()),
        "workers": workers,
        "force": force,
        "keep_going": keep_going,
    }
    serve_flow(project_root(), name, cron or None, timezone, parameters, typer.echo)


@app.command(epilog="Example: labelmint ui --prefect-port 4201")
def ui(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's pages.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's pages.")] = 5000,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. 0.0.0.0 opens the pages, which need no password, to the network."
        ),
    ] = "127.0.0.1",
) -> None:
    """Serve the pages of Prefect and MLflow until Ctrl-C."""
    from pipeline.flow.servers import serve as serve_pages

    serve_pages(project_root(), prefect_port, mlflow_port, typer.echo, host)
