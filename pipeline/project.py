"""Where the project is."""

from __future__ import annotations

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


def experiments_root() -> Path:
    """Folder that holds experiments/: the project, or outside of one the installed copy."""
    return project_root_or_none() or Path(__file__).parent.parent
