"""Options that several commands have, and the names that the shell offers after TAB."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipeline.project import experiments_root, project_root_or_none
from pipeline.settings import experiments

Layout = Annotated[
    Literal["classes", "splits", "innermost"] | None,
    typer.Option(
        help="What folders are, where it is not clear: each a class; splits (train, test, …) with a folder "
        "per class; or the folder that holds an image is its class.",
        show_default=False,
    ),
]
Split = Annotated[
    str,
    typer.Option(
        metavar="train=FOLDER,test=FOLDER",
        help="Folders of the training, test and validation images, where their names do not say it.",
        show_default=False,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FILE[:FILE_COLUMN,LABEL_COLUMN]",
        help="Table (CSV or JSON lines) with the label of each image, e.g. labels.csv:id,breed.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def complete_experiment(incomplete: str) -> list[str]:
    """Names of experiments."""
    return _starting(experiments.names(experiments_root()), incomplete)


def complete_generator(incomplete: str) -> list[str]:
    """Arms with a generator in data/generators of the project."""
    root = project_root_or_none()
    found = root.glob("data/generators/*/architecture.json") if root else []
    return _starting(sorted(path.parent.name for path in found), incomplete)


def complete_classifier(incomplete: str) -> list[str]:
    """Classifiers in data/classifiers of the project, as <arm>/<source>."""
    root = project_root_or_none()
    found = root.glob("data/classifiers/*/*.safetensors") if root else []
    return _starting(sorted(f"{path.parent.name}/{path.stem}" for path in found), incomplete)


def complete_setting(incomplete: str) -> list[str]:
    """Names of settings."""
    from pipeline.settings import reference

    return _starting([each.name for each in reference.collect()], incomplete)


def _starting(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
