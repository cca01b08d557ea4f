"""Where the project lies."""

from __future__ import annotations

from pathlib import Path

from labelmint.runtime.errors import InputError

PARAMS_FILE = "params.yaml"


def project_root() -> Path:
    """The nearest folder upwards that holds params.yaml and dvc.yaml. Raises: InputError when there is none."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / PARAMS_FILE).exists() and (folder / "dvc.yaml").exists():
            return folder
    raise InputError(f"{Path.cwd()} is not within a labelmint project: no params.yaml and dvc.yaml here or above")
