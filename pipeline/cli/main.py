"""The console script `labelmint`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from labelmint.runtime.atomic_files import parsing
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from pipeline import failures
from pipeline.cli import completion, exits
from pipeline.dvc.workspace_lock import locked_workspace
from pipeline.flow.prefect_environment import choose_runner
from pipeline.project import project_root
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from stages.paths import Paths

AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]

app = typer.Typer(
    help="Mint labelled images with generators trained on a share of your data, and measure what they are worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


@app.command(epilog="Example: labelmint use cgan_mnist --quick")
def use(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Experiments, as `labelmint experiments` lists them; a later one overrides.",
            autocompletion=completion.experiments,
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="In a size for a few minutes on two CPU cores.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which settings would change, and write nothing.")
    ] = False,
) -> None:
    """Write experiments' settings into params.yaml. Earlier results come back from DVC's cache."""
    choice = experiments.Choice.named(names, quick)
    if dry_run:
        changes = experiments.changes(project_root(), choice)
        return typer.echo("\n".join(changes or [f"params.yaml holds the settings of {choice.label} already"]))
    with locked_workspace(project_root()):  # or the stages that a run has not come to yet would read these settings
        kept = experiments.use(project_root(), choice)
    typer.echo(
        f"params.yaml now holds {choice.label}" + (f"; your own settings are kept in {kept.name}" if kept else ""),
        err=True,
    )


@app.command("import", epilog="Example: labelmint import ~/photos.zip --name photos --size 64")
def import_(
    origin: Annotated[Path, typer.Argument(help="A folder, zip or tar with one folder of images per class.")],
    name: Annotated[str, typer.Option(help="What to call the data set: small letters, digits and _.")],
    size: Annotated[int, typer.Option(help="Pixels of the square images that generators will learn.")] = 32,
    fit: Annotated[
        Literal["cover", "contain", "resize"],
        typer.Option(help="How images become square: cut what is over, pad, or stretch."),
    ] = "cover",
    on_bad_image: Annotated[
        Literal["fail", "skip"], typer.Option(help="A bad image ends the import, or up to 1 % are left out.")
    ] = "fail",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier import of the same name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every image, and leave nothing behind.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take in images of your own: check each, pack them into data/raw, and write an experiment for them."""
    from pipeline.cli.importing import describe, import_dataset

    made = import_dataset(project_root(), origin, name, size, fit, on_bad_image, force, dry_run)
    if as_json:
        return typer.echo(json.dumps({**asdict(made), "path": str(made.path)}, ensure_ascii=False))
    for image, reason in made.bad:
        typer.echo(f"left out: {printable(f'{image}: {reason}')}", err=True)
    after = "nothing was written" if dry_run else f"next: make repro DATASET={name}"
    typer.echo(f"{describe(name, made)}\n{after}")


@app.command("experiments", epilog="Example: labelmint experiments --json")
def list_experiments(as_json: AsJson = False) -> None:
    """List the experiments that `use` takes: where each comes from, what a full run costs, what came of it last."""
    root = project_root()
    if as_json:
        typer.echo(experiments.as_json(root))
    else:
        typer.echo("\n".join(experiments.lines(root)))


@app.command(epilog="Example: labelmint check")
def check() -> None:
    """Check params.yaml as a whole, before any stage starts."""
    settings.load(project_root() / settings.PARAMS_FILE)


@app.command("params", epilog="Example: labelmint params training.epochs")
def explain_params(
    setting: Annotated[
        str,
        typer.Argument(help="A setting, or a group such as training; none: all.", autocompletion=completion.settings),
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="All of them as docs/params.md has them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what settings of params.yaml mean, which values they take, and what they are by default."""
    from pipeline.settings import reference

    root = project_root()
    if markdown:
        return typer.echo(reference.to_markdown(root), nl=False)
    found = reference.find(root, setting) if setting else reference.collect(root)
    typer.echo(reference.to_json(found) if as_json else reference.to_text(found))


@app.command(epilog="Example: labelmint results --json")
def results(as_json: AsJson = False) -> None:
    """Print the last results and where the report lies."""
    from rich.console import Console
    from rich.markdown import Markdown

    reports = Paths(project_root()).reports
    table = reports / "results.md"
    if not table.exists():
        raise InputError(f"{table} is missing; `make repro` makes it")
    with parsing(table):
        text = table.read_text()
    try:
        experiments.record(project_root())
    except OSError as error:  # the table can be read all the same
        typer.echo(f"warning: not kept for `labelmint experiments`: {failures.describe(error)}", err=True)
    if as_json:
        return typer.echo(json.dumps(experiments.last_rows(project_root()), ensure_ascii=False, indent=1))
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)
    typer.echo(f"report: {reports / 'index.html'}")


Experiment = Annotated[
    str,
    typer.Option(
        help="Experiments to use first, as `use` takes them: 'default photos'.", autocompletion=completion.experiments
    ),
]
Percents = Annotated[str, typer.Option(help="Shares of the real data, in place of those in params.yaml: 40,60.")]
KeepGoing = Annotated[bool, typer.Option(help="When a stage fails, run all that does not need it.")]
Workers = Annotated[int, typer.Option(min=1, help="Stages at once; one of them at most on the GPU.")]
Force = Annotated[bool, typer.Option("--force", help="Run every stage, changed or not.")]
Runner = Annotated[Literal["threads", "dask"], typer.Option(help="Where stages are started.")]
DaskAddress = Annotated[
    str, typer.Option(help="Of a Dask scheduler whose workers share this folder; else a local one.")
]


@app.command(epilog="Example: labelmint run --workers 2")
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages or groups, with what they need; none: all.")
    ] = None,
    experiment: Experiment = "",
    percents: Percents = "",
    workers: Workers = 1,
    force: Force = False,
    keep_going: KeepGoing = True,
    dry: Annotated[bool, typer.Option("--dry-run", "--dry", help="Only say what would run.")] = False,
    runner: Runner = "threads",
    dask_address: DaskAddress = "",
) -> None:
    """Run the DAG once as a Prefect flow: with the server of `make ui` or $PREFECT_API_URL where there is one, or without."""
    from pipeline.flow.running import parse_percents, run_once

    parameters = dict(experiment=experiment, targets=targets or [], percents=parse_percents(percents), workers=workers, force=force)  # fmt: skip
    parameters |= dict(keep_going=keep_going, dry=dry)
    choose_runner(runner, dask_address)
    try:
        typer.echo(run_once(project_root(), parameters))
    except KeyboardInterrupt:  # which typer would end without a word
        exits.fail("interrupted; run again to go on", 130)


@app.command(epilog='Example: labelmint serve --cron "0 2 * * *"')
def serve(
    cron: Annotated[str, typer.Option(help="When, as cron writes it; none: only when asked from Prefect's UI.")] = "",
    timezone: Annotated[str, typer.Option(help="Of the schedule, such as Europe/Vienna.")] = "UTC",
    name: Annotated[str, typer.Option(help="Of the deployment in Prefect.")] = "scheduled",
    experiment: Experiment = "",
    percents: Percents = "",
    workers: Workers = 1,
    force: Force = False,
    keep_going: KeepGoing = True,
    runner: Runner = "threads",
    dask_address: DaskAddress = "",
) -> None:
    """Run the same flow by schedule, or by the button in Prefect's UI, until Ctrl-C. One run at a time."""
    from pipeline.flow.running import parse_percents
    from pipeline.flow.running import serve as serve_flow

    parameters = dict(experiment=experiment, percents=parse_percents(percents), workers=workers, force=force)
    parameters |= dict(keep_going=keep_going)
    choose_runner(runner, dask_address)
    serve_flow(project_root(), name, cron or None, timezone, parameters)


@app.command(epilog="Example: labelmint ui --prefect-port 4201")
def ui(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Of Prefect's pages.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Of MLflow's pages.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Where to listen. 0.0.0.0 opens the pages, which ask for no password, to the network.")
    ] = "127.0.0.1",
) -> None:
    """Serve Prefect's and MLflow's pages, on this machine only unless --host says otherwise, until Ctrl-C."""
    from pipeline.flow.servers import serve as serve_pages

    serve_pages(project_root(), prefect_port, mlflow_port, typer.echo, host)


@app.command(epilog="Example: labelmint compare --plot fractions.png")
def compare(
    dataset: Annotated[str, typer.Option(help="Whose results; none: that of params.yaml.")] = "",
    plot: Annotated[Path, typer.Option(help="Where the plot goes, a PNG.")] = Path("compare.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print all measures as JSON, and plot nothing.")] = False,
) -> None:
    """Compare the shares of real data: accuracies with intervals, from MLflow alone."""
    from pipeline.cli import compare as comparison

    root = project_root()
    name = dataset or settings.load(root / settings.PARAMS_FILE).dataset.name
    rows = comparison.collect(root, name)
    if as_json:
        return typer.echo(json.dumps(rows, indent=1))
    comparison.plot(rows, plot, name)
    typer.echo(f"{comparison.to_text(rows)}\nplot: {plot.resolve()}")


@app.command(epilog="Example: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 labelmint sync")
def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many runs wait, and ship none.")] = False,
) -> None:
    """Ship what could not reach MLflow while stages ran. As often as you like: nothing arrives twice."""
    from pipeline.tracking import sync as shipping

    typer.echo((shipping.preview if dry_run else shipping.sync_all)(project_root()))


@app.command(epilog="Example: labelmint sample dcgan-100-0 --class 7 --count 100 --out sevens")
def sample(
    generator: Annotated[
        str,
        typer.Argument(
            help="An arm, such as dcgan-100-0, or the folder of a generator.", autocompletion=completion.generators
        ),
    ],
    count: Annotated[int, typer.Option(help="Images of each class; in all where labels are attributes or none.")],
    out: Annotated[Path, typer.Option(help="A new folder; or one that an interrupted run of the same command left.")],
    requested: Annotated[
        list[str] | None,
        typer.Option("--class", help="A class, or attributes as Male+Smiling; may be repeated. Left out: all."),
    ] = None,
    format: Annotated[
        Literal["folders", "tensors", "parquet", "webdataset"],
        typer.Option(help="PNG in class folders, .npy arrays, Parquet, or WebDataset tars."),
    ] = "folders",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; left out: one per core.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be minted, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mint labelled images from a trained generator; no training data are needed. Interrupted, the same command goes on."""
    from pipeline.cli import sampling

    done = sampling.sample(
        _root_if_any(), generator, tuple(requested or ()), count, out, format, seed, workers, dry_run
    )
    typer.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else sampling.describe(done, dry_run))


@app.command(epilog="Example: labelmint doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check machine, versions, GPU, disk, data, weights, servers and DVC's state, and say what to do. 1 when something is amiss."""
    from pipeline.doctor import examination as checks

    found = checks.examine(project_root())
    if as_json:
        typer.echo(checks.as_json(found))
    else:
        checks.show(found)
    if any(finding.state == "problem" for finding in found):
        raise typer.Exit(1)


def _root_if_any() -> Path | None:
    try:
        return project_root()
    except InputError:
        return None


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a failure; may stand anywhere in the line.")
    ] = False,
) -> None:
    if debug:
        os.environ["LABELMINT_DEBUG"] = "1"


def main() -> None:
    """0 on success, 2 on a person's mistake, 1 on a failure, each with one line."""
    exits.run(app)


if __name__ == "__main__":
    main()
