"""Copies MLflow's records from one database to another: `python -m pipeline.tracking.move FROM TO`.

From sqlite to PostgreSQL, when one outgrows the other. Both are SQLAlchemy addresses; TO's tables are made if need be, and must hold
no runs. Artifacts are not touched: the records say where they are.
"""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_VERSION = "alembic_version"
_ROWS = 1000


def move(origin: str, target: str) -> dict[str, int]:
    """Returns: {table: rows copied}. Raises: ValueError when there are runs in `target` or the two are of different versions."""
    import sqlalchemy as sa

    for address in (origin, target):  # makes tables, or brings them to this MLflow's version
        subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", address], check=True, capture_output=True)
    have, want = sa.create_engine(origin), sa.create_engine(target)
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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(
            "usage: python -m pipeline.tracking.move sqlite:////path/mlflow.db postgresql+psycopg2://user:password@host/mlflow"
        )
    try:
        told = move(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"copied {told['runs']:,} runs, {told['metrics']:,} metrics, {sum(told.values()):,} rows in all")
