"""Copies MLflow's records from one database to another: `python -m pipeline.tracking.move`.

From sqlite to PostgreSQL, when one outgrows the other. Both are SQLAlchemy addresses, $LABELMINT_MOVE_FROM (left out: mlflow.db here)
and $MLFLOW_BACKEND_STORE_URI, and never on a command line, which all users of a machine can read. The target's tables are made if need
be, and must hold no runs. Artifacts are not touched: the records say where they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from labelmint.data.download import public

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

FROM, TO = "LABELMINT_MOVE_FROM", "MLFLOW_BACKEND_STORE_URI"
_UPGRADE = (
    "import os; from mlflow.db import upgrade; upgrade.main([os.environ['LABELMINT_UPGRADE']], standalone_mode=False)"
)
_VERSION = "alembic_version"
_ROWS = 1000


def move(origin: str, target: str) -> dict[str, int]:
    """Returns: {table: rows copied}. Raises: ValueError when there are runs in `target` or the two are of different versions."""
    import sqlalchemy as sa

    have, want = sa.create_engine(origin), sa.create_engine(target)
    for engine in (have, want):
        engine.connect().close()  # or MLflow would try again for minutes
    for address in (origin, target):
        _upgrade(address)
    metadata, copied = sa.MetaData(), {}
    metadata.reflect(want)
    with have.connect() as source, want.begin() as sink:
        if sink.execute(sa.select(sa.func.count()).select_from(metadata.tables["runs"])).scalar():
            raise ValueError("the target holds runs already; give an empty database")
        versions = [
            each.execute(sa.select(metadata.tables[_VERSION].c.version_num)).scalar() for each in (source, sink)
        ]
        if len(set(versions)) != 1:
            raise ValueError(f"tables of different versions: {versions}")
        tables = [table for table in metadata.sorted_tables if table.name != _VERSION]
        for table in reversed(tables):
            sink.execute(table.delete())  # the default experiment and workspace, which the origin has too
        for table in tables:
            # Read by the target's own types, so that sqlite's 0 and 1 become booleans.
            rows = source.execution_options(stream_results=True).execute(sa.select(table)).mappings()
            copied[table.name] = 0
            for part in rows.partitions(_ROWS):
                sink.execute(table.insert(), [dict(row) for row in part])
                copied[table.name] += len(part)
            _continue_numbering(sa, sink, table)
    return copied


def _upgrade(address: str) -> None:
    """Make the tables, or bring them to this MLflow's version."""
    environment = {**os.environ, "LABELMINT_UPGRADE": address, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _UPGRADE], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["mlflow db upgrade failed"])[-1])


def _continue_numbering(sa: ModuleType, sink: Connection, table: Table) -> None:
    """The next new row must get a number above those that were copied."""
    if sink.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        if isinstance(column.type, sa.Integer):
            name = sink.execute(
                sa.text("select pg_get_serial_sequence(:t, :c)"), {"t": table.name, "c": column.name}
            ).scalar()
            highest = sink.execute(sa.select(sa.func.max(column))).scalar()
            if name and highest is not None:
                sink.execute(sa.text("select setval(:name, :value)"), {"name": name, "value": highest})


def main() -> None:
    origin, target = os.environ.get(FROM) or f"sqlite:///{Path.cwd() / 'mlflow.db'}", os.environ.get(TO, "")
    if len(sys.argv) > 1 or not target:
        usage = f"set ${TO}, such as postgresql+psycopg2://user:password@host/mlflow, and ${FROM} where it is not mlflow.db here"
        sys.exit(f"error: {usage}; then python -m pipeline.tracking.move")
    try:
        if origin.startswith("sqlite:///") and not Path(origin.removeprefix("sqlite:///")).exists():
            raise ValueError("it is not there")
        told = move(origin, target)
    except Exception as error:  # of SQLAlchemy, of the database's driver
        said = " ".join(str(error).split())
        for address in (origin, target):
            said = said.replace(address, public(address))
            password = urlsplit(address).password
            for secret in (password, unquote(password or "")):
                said = said.replace(secret, "***") if secret else said
        sys.exit(f"error: {public(origin)} to {public(target)}: {said[:500]}")
    print(f"copied {told['runs']:,} runs, {told['metrics']:,} metrics, {sum(told.values()):,} rows in all")


if __name__ == "__main__":
    main()
