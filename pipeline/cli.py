"""The console script `labelmint`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline import experiments
from pipeline import params as settings
from stages.prepare.errors import InputError
from stages.prepare.layout import Layout

app = typer.Typer(
    help="Mint labelled images with generators trained on a share of your data, and measure what they are worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


@app.command(epilog="Example: labelmint use cgan_mnist --quick")
def use(
    names: Annotated[
        list[str], typer.Argument(help="Experiments, as `labelmint experiments` lists them; a later one overrides.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="In a size for a few minutes on two CPU cores.")] = False,
) -> None:
    """Write experiments' settings into params.yaml. Earlier results come back from DVC's cache."""
    choice = experiments.Choice(tuple(name for name in names if name != "default"), quick)
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
) -> None:
    """Take in images of your own: check each, pack them into data/raw, and write an experiment for them."""
    from pipeline.importing import describe, import_dataset

    made = import_dataset(project_root(), origin, name, size, fit, on_bad_image, force)
    for image, reason in made.bad:
        typer.echo(f"left out: {image}: {reason}", err=True)
    typer.echo(f"{describe(name, made)}\nnext: make repro DATASET={name}")


@app.command("experiments", epilog="Example: labelmint experiments --json")
def list_experiments(
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
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


@app.command(epilog="Example: labelmint results")
def results() -> None:
    """Print the last results and where the report lies."""
    from rich.console import Console
    from rich.markdown import Markdown

    reports = Layout(project_root()).reports
    table = reports / "results.md"
    if not table.exists():
        raise InputError(f"{table} is missing; `make repro` makes it")
    experiments.record(project_root())
    if sys.stdout.isatty():
        Console().print(Markdown(table.read_text()))
    else:
        typer.echo(table.read_text())
    typer.echo(f"report: {reports / 'index.html'}")


@app.command(epilog="Example: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 labelmint sync")
def sync() -> None:
    """Ship what could not reach MLflow while stages ran."""
    from pipeline.tracking.ship import ship, tracking_uri, waiting

    root = project_root()
    folders = waiting(root)
    try:
        shipped = sum(ship(root, folder) for folder in folders)
    except Exception as error:  # MLflow's clients raise many kinds
        raise ConnectionError(
            f"{tracking_uri(root)}: {' '.join(str(error).split())[:200]}; nothing is lost, try again later"
        ) from error
    typer.echo(f"{shipped} of {len(folders)} runs shipped to {tracking_uri(root)}")


@app.command(epilog="Example: labelmint sample dcgan-100-0 --class 7 --count 100 --out sevens")
def sample(
    generator: Annotated[str, typer.Argument(help="An arm, such as dcgan-100-0, or the folder of a generator.")],
    count: Annotated[int, typer.Option(help="Images of each class; in all where labels are attributes or none.")],
    out: Annotated[Path, typer.Option(help="A new folder; or one that an interrupted run of the same command left.")],
    wished: Annotated[
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
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Mint labelled images from a trained generator; no training data are needed. Interrupted, the same command goes on."""
    from pipeline import sampling

    done = sampling.sample(_root_if_any(), generator, tuple(wished or ()), count, out, format, seed, workers, dry_run)
    typer.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else sampling.describe(done, dry_run))


@app.command(epilog="Example: labelmint doctor --json")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False) -> None:
    """Check machine, versions, GPU, disk, data, weights, servers and DVC's state, and say what to do. 1 when something is amiss."""
    from pipeline import doctor as checks

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


def project_root() -> Path:
    """The nearest folder upwards that holds params.yaml and dvc.yaml. Raises: InputError when there is none."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / settings.PARAMS_FILE).exists() and (folder / "dvc.yaml").exists():
            return folder
    raise InputError(f"{Path.cwd()} is not within a labelmint project: no params.yaml and dvc.yaml here or above")


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
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        arguments.remove("--debug")
        arguments.insert(0, "--debug")
    try:
        code = app(args=arguments, standalone_mode=False)
        if code == 130:
            _fail("interrupted; run again to go on", 130)
        sys.exit(code if isinstance(code, int) else 0)
    except InputError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted; run again to go on", 130)
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output wants no more
    except (RuntimeError, OSError) as error:
        _fail(str(error), 1)
    except Exception as error:
        # typer's own kind of error, about the command line; it has no public name.
        if hasattr(error, "format_message"):
            _misused(error)
        _fail(f"{type(error).__name__}: {' '.join(str(error).split())}; --debug shows where", 1)


def _misused(error: Any) -> None:
    context, message = getattr(error, "ctx", None), " ".join(error.format_message().split())
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    where = context.command_path if context else "labelmint"
    print(f"error: {message.rstrip('.')}; `{where} --help` shows what it takes", file=sys.stderr)
    sys.exit(error.exit_code)


def _fail(message: str, code: int) -> None:
    if os.environ.get("LABELMINT_DEBUG"):
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
