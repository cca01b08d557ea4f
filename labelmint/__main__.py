"""The command `labelmint`: starts the command line of the checkout it is called in, else the one it was installed with."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run the command line.

    `pipeline` and `stages` are folders of a checkout, since DVC hashes their code there. An installed copy keeps
    them inside this package, so that no top-level packages of these names are installed.
    """
    sys.path.insert(0, str(_home()))
    import_module("pipeline.cli.main").main()


def _home() -> Path:
    """Folder that holds `pipeline` and `stages`: of the checkout around the current folder, else beside this file."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "pipeline" / "cli").is_dir():
            return folder
    own = Path(__file__).parent
    return own / "_project" if (own / "_project").is_dir() else own.parent


if __name__ == "__main__":
    main()
