"""The commands about results: `results`, `report`, `compare` and `sync`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from labelmint.runtime.atomic_files import parsing
from labelmint.runtime.errors import InputError
from pipeline import failures
from pipeline.cli.options import AsJson
from pipeline.project import PARAMS_FILE, project_root
from pipeline.settings import last_results, schema
from pipeline.tracking import address
from stages.paths import Paths

app = typer.Typer()


@app.command(epilog="Example: labelmint results --json")
def results(as_json: AsJson = False) -> None:
    """Print the last results and the path of the report."""
    root = project_root()
    table = _results(root, "results.md")
    with parsing(table):
        text = table.read_text(encoding="utf-8")
    try:
        if last_results.is_current(root):
            last_results.record(root)
    except OSError as error:  # the table can still be printed
        typer.echo(f"warning: not kept for `labelmint experiments`: {failures.describe(error)}", err=True)
    if as_json:
        from labelmint.reporting.tables import read_results

        typer.echo(json.dumps(read_results(table.with_name("results.csv")), ensure_ascii=False, indent=1))
        return
    if sys.stdout.isatty():
        from rich.markdown import Markdown

        from labelmint.reporting.tables import read_results
        from pipeline.cli import result_table
        from pipeline.terminal import console

        screen = console()
        screen.print(Markdown(text.partition("| ")[0]))  # what precedes the tables
        screen.print(result_table.build(read_results(table.with_name("results.csv"))))
    else:
        typer.echo(text)
    typer.echo(f"report: {table.with_name('index.html')}")
    if runs := address.recorded_page(root):
        typer.echo(f"MLflow: {runs} (if it does not run yet: `make ui`)")


@app.command(epilog="Example: labelmint report --against HEAD~1")
def report(
    against: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="Earlier run: a results.csv, a folder with one, a git revision whose dvc.lock was "
            "committed, or the id or name of a run in MLflow.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File of the page. Default: reports/against.html.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the last results with those of an earlier run on the same data set.

    Prints every difference of accuracies with its 95 % interval, and writes a page.
    """
    from labelmint.reporting import against as differences
    from labelmint.reporting.tables import read_results
    from labelmint.runtime.atomic_files import save_bytes
    from pipeline.cli import earlier

    root = project_root()
    table = _results(root, "results.csv")
    now = read_results(table)
    try:
        found = differences.changes(now, earlier.results(root, against))
    except InputError as error:
        raise type(error)(f"--against {against}: {error}") from error
    if as_json:
        typer.echo(json.dumps(differences.to_rows(found), indent=1))
        return
    page = out or table.with_name("against.html")
    save_bytes(page, differences.render(found, now[0]["dataset"], against).encode())
    typer.echo(f"{differences.to_text(found)}\npage: {page.resolve()}")


def _results(root: Path, name: str) -> Path:
    """A file of the last results. Raises: InputError if there is none."""
    path = Paths(root).reports / name
    if not path.exists():
        raise InputError(f"{path} is missing; `make repro` creates it")
    return path


@app.command(epilog="Example: labelmint compare --plot fractions.png")
def compare(
    dataset: Annotated[
        str,
        typer.Option(
            help="Data set whose latest pipeline run to show. Default: that of params.yaml.",
            show_default=False,
        ),
    ] = "",
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Id or name of a run in MLflow to show instead, whatever its settings. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[Path, typer.Option(help="File of the plot, a PNG.")] = Path("compare.png"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all metrics as JSON, and plot nothing.")
    ] = False,
) -> None:
    """Compare fractions of the real data: accuracies with intervals, read from MLflow.

    The runs are those with the settings of params.yaml, of the arms that it names.
    """
    from pipeline.cli import comparison

    root = project_root()
    found = comparison.collect(root, dataset, runs or [])
    if as_json:
        typer.echo(json.dumps(found.rows, indent=1))
        return
    comparison.plot(found, plot, dataset or schema.load(root / PARAMS_FILE).dataset.name)
    typer.echo(f"{comparison.to_text(found)}\nplot: {plot.resolve()}")


@app.command(epilog="Example: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 labelmint sync")
def sync(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how many runs wait, and send none.")
    ] = False,
) -> None:
    """Send runs to MLflow that could not reach it while stages ran. Nothing is sent twice."""
    from pipeline.tracking import sync as shipping

    typer.echo((shipping.preview if dry_run else shipping.sync_all)(project_root()))
