"""The command `labelmint`: its commands, and the options before them."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Annotated

import typer

from pipeline.cli import exits, image_commands, result_commands, run_commands, settings_commands
from pipeline.cli.options import AsJson
from pipeline.project import project_root

app = typer.Typer(
    help="Train generators on fractions of your labelled images, generate synthetic labelled images, and "
    "measure what they are worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for each in (settings_commands, image_commands, run_commands, result_commands):
    app.add_typer(each.app)


@app.command(epilog="Example: labelmint doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check machine, versions, GPU, disk, data, weights, servers and DVC, and say what to do.

    Exits with 1 if there is a problem.
    """
    from pipeline.doctor import examination

    findings = examination.examine(project_root())
    if as_json:
        typer.echo(examination.as_json(findings))
    else:
        examination.show(findings)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labelmint {metadata.version('labelmint')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. Allowed anywhere in the line.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    if debug:
        os.environ["LABELMINT_DEBUG"] = "1"


def main() -> None:
    """Run the command line and end the process; `pipeline.cli.exits` lists the exit codes."""
    exits.run(app)


if __name__ == "__main__":
    main()
