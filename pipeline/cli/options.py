"""Options that several commands have, and the names that the shell offers after TAB."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.project import experiments_root, project_root_or_none
from pipeline.settings import experiments

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
