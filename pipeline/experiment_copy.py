"""The temporary copy of the project in which `dvc exp run --temp` and `--queue` run stages.

DVC copies what git or DVC track. Raw data and files that settings name are tracked by neither.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.project import project_of
from pipeline.settings.schema import Params


def link_inputs(workspace: Path, params: Params) -> None:
    """Link the raw data and the files that settings name into a copy. Downloads thus reach the project too.

    Does nothing in the project itself.
    """
    project = project_of(workspace).resolve()
    if project == workspace.resolve():
        return
    (project / "data" / "raw").mkdir(parents=True, exist_ok=True)
    for name in ("data/raw", params.dataset.path, params.classifier.weights, params.metrics.inception):
        copy = workspace / (name or "")
        if name and (project / name).exists() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(project / name)
