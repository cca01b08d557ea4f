"""Prefect's database without content, made once by `make env`: its migrations take twenty seconds and more.

`python -m pipeline.flow.new_database FILE` writes one.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from labelmint.runtime.atomic_files import atomic_write

NAME = "prefect.db"


def copy_to(home: Path) -> None:
    """Give a new project the database of this environment, if it has one. home: Prefect's folder."""
    made, target = Path(sys.prefix) / NAME, home / NAME
    if made.exists() and not target.exists():
        with atomic_write(target) as partial:
            shutil.copyfile(made, partial)


def write(path: Path) -> None:
    """Create the database as Prefect's server does, in one file."""
    import asyncio
    import sqlite3

    with TemporaryDirectory() as home:
        os.environ["PREFECT_HOME"] = home  # before Prefect is imported
        from prefect.server.database.dependencies import provide_database_interface

        asyncio.run(provide_database_interface().create_db())
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(Path(home) / NAME)) as database:
            database.execute("VACUUM INTO ?", (str(path),))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
