"""The commands about settings: `use`, `experiments`, `check` and `params`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.options import AsJson, complete_experiment, complete_setting
from pipeline.dvc.workspace_lock import locked_workspace
from pipeline.project import PARAMS_FILE, experiments_root, project_root
from pipeline.settings import experiments, last_results, schema

app = typer.Typer()


@app.command(epilog="Example: labelmint use cgan_mnist --quick")
def use(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Experiments, as `labelmint experiments` lists them; later ones override earlier ones.",
            autocompletion=complete_experiment,
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Use a size for minutes on two CPU cores.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which settings would change, and write nothing.")
    ] = False,
) -> None:
    """Write the settings of experiments into params.yaml. Earlier results come back from DVC's cache."""
    choice = experiments.Choice.named(names, quick)
    if dry_run:
        changes = experiments.changes(project_root(), choice)
        typer.echo("\n".join(changes or [f"params.yaml already holds the settings of {choice.label}"]))
        return
    with locked_workspace(project_root()):  # stages of a run that have not started would read these settings
        kept = experiments.use(project_root(), choice)
    own = f"; your own settings are kept in {kept.name}" if kept else ""
    typer.echo(f"params.yaml now holds {choice.label}{own}", err=True)


@app.command("experiments", epilog="Example: labelmint experiments --json")
def list_experiments(as_json: AsJson = False) -> None:
    """List the experiments: what each is, where it comes from, what it costs, its last results."""
    root = experiments_root()
    typer.echo(last_results.to_json(root) if as_json else last_results.to_text(root))


@app.command(epilog="Example: labelmint check")
def check() -> None:
    """Check params.yaml as a whole. Prints nothing if it is valid."""
    schema.load(project_root() / PARAMS_FILE)


@app.command("params", epilog="Example: labelmint params training.epochs")
def explain_params(
    setting: Annotated[
        str,
        typer.Argument(
            help="A setting, or a group such as training. Default: all.",
            show_default=False,
            autocompletion=complete_setting,
        ),
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/params.md.")] = False,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print experiments/default.yaml with current comments.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Explain the settings of params.yaml: type, range, default and meaning."""
    from pipeline.settings import reference

    if markdown or yaml:
        default = experiments_root() / "experiments" / "default.yaml"
        text = reference.to_markdown() if markdown else reference.with_comments(default.read_text())
        typer.echo(text, nl=False)
        return
    found = reference.find(setting) if setting else reference.collect()
    typer.echo(reference.to_json(found) if as_json else reference.to_text(found))
