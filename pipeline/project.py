"""Where the project is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from labelmint.runtime.errors import InputError

PARAMS_FILE = "params.yaml"


def project_root() -> Path:
    """Nearest folder from here upwards with params.yaml and dvc.yaml. Raises InputError if there is none."""
    if root := project_root_or_none():
        return root
    raise InputError(
        f"{Path.cwd()} is not within a labelmint project: no params.yaml and dvc.yaml here or above; "
        "run this command in a project's folder"
    )


def project_root_or_none() -> Path | None:
    """The project's folder, or None outside of a project."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / PARAMS_FILE).exists() and (folder / "dvc.yaml").exists():
            return folder
    return None


def project_of(workspace: Path) -> Path:
    """The project of a workspace, which has its records and raw data.

    `dvc exp run --temp` and `--queue` run stages in a temporary copy of the project, which DVC then deletes.
    """
    found = os.environ.get("DVC_ROOT") if "DVC_STAGE" in os.environ else None
    return Path(found) if found else workspace


def seconds(variable: str, default: float, environment: Mapping[str, str] = os.environ) -> float:
    """Number of seconds in an environment variable. Raises: InputError."""
    value = environment.get(variable, str(default))
    try:
        return float(value)
    except ValueError as error:
        raise InputError(f"{variable} must be a number of seconds, got '{value}'") from error


def experiments_root() -> Path:
    """Folder that holds experiments/: the project, or outside of one the installed copy."""
    return project_root_or_none() or Path(__file__).parent.parent
