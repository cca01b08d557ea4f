"""The command `labelmint`, of the checkout around the current folder or of the installed package."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run the command line.

    `pipeline` and `stages` are folders of a checkout, where DVC hashes their code. An installed package holds
    a copy of them in its folder `_project`, so that it installs no top-level packages of these names.
    """
    home = _home()
    sys.path.insert(0, str(home))
    # Also in processes that the command starts, before packages of these names on the user's PYTHONPATH.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    if (home / "labelmint").is_dir() and home != Path(__file__).resolve().parents[1]:
        # Another checkout than the installed one: its commands need its own library, as its stages do.
        for name in [name for name in sys.modules if name.partition(".")[0] == "labelmint"]:
            del sys.modules[name]
    import_module("pipeline.cli.main").main()


def _home() -> Path:
    """Folder that holds `pipeline` and `stages`: of the checkout around the current folder, or installed."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "pipeline" / "cli").is_dir():
            return folder
    own = Path(__file__).resolve().parent
    return own / "_project" if (own / "_project").is_dir() else own.parent


if __name__ == "__main__":
    main()
