"""The commands about settings: `use`, `experiments`, `check` and `params`."""

from __future__ import annotations

from typing import Annotated

import typer

from labelmint.runtime.errors import InputError
from pipeline.cli.options import AsJson, complete_experiment, complete_setting
from pipeline.dvc.workspace_lock import locked_workspace
from pipeline.project import PARAMS_FILE, experiments_root, project_root
from pipeline.settings import assignments, experiments, last_results, schema
from pipeline.tracking import destinations

app = typer.Typer()


@app.command(epilog="Example: labelmint use cgan_mnist --quick")
def use(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Experiments, as `labelmint experiments` lists them; later ones override earlier ones. "
            "Default: params.yaml as it is.",
            autocompletion=complete_experiment,
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "-S",
            "--set",
            metavar="NAME=VALUE",
            help="A single setting to write too, e.g. -S training.epochs=5. May be repeated.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Use a size for minutes on two CPU cores.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which settings would change, and write nothing.")
    ] = False,
) -> None:
    """Write the settings of experiments into params.yaml. Earlier results come back from DVC's cache."""
    if quick and not names:
        names = ["default"]
    if not names and not settings:
        raise InputError("name an experiment, or a setting with -S; `labelmint experiments` lists the former")
    root = project_root()
    choice = experiments.Choice.named(names, quick) if names else None
    own = assignments.parse(settings or ())
    if dry_run:
        changes = experiments.changes(root, choice, own)
        unchanged = f"params.yaml already holds the settings of {choice.label}" if choice else "no change"
        typer.echo("\n".join(changes or [unchanged]))
        return
    with locked_workspace(root):  # stages of a run that have not started would read these settings
        kept = experiments.use(root, choice, own)
        label = experiments.label_in_use(root)
    replaced = f"; your own settings are kept in {kept.name}" if kept else ""
    typer.echo(f"params.yaml now holds {label}{replaced}", err=True)


@app.command("experiments", epilog="Example: labelmint experiments mnist")
def list_experiments(
    word: Annotated[
        str,
        typer.Argument(help="Only those whose name, title or source has this word.", show_default=False),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the experiments: what each is, where it comes from, what it costs, its last results."""
    root = experiments_root()
    typer.echo((last_results.to_json if as_json else last_results.to_text)(root, word))


@app.command(epilog="Example: labelmint check")
def check() -> None:
    """Check params.yaml as a whole. Prints nothing if it is valid."""
    destinations.check(schema.load(project_root() / PARAMS_FILE).tracking.chosen)


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
        text = (
            reference.to_markdown()
            if markdown
            else reference.with_comments(default.read_text(encoding="utf-8"))
        )
        typer.echo(text, nl=False)
        return
    found = reference.find(setting) if setting else reference.collect()
    typer.echo(reference.to_json(found) if as_json else reference.to_text(found))
