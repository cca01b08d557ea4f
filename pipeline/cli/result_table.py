"""The results for a terminal: fewer columns than results.md, so that a line of 80 characters holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labelmint.reporting.tables import Row

if TYPE_CHECKING:
    from rich.table import Table


def build(rows: Sequence[Row]) -> Table:
    """A line for each classifier: its arm, what it was trained on, and its accuracy with its interval."""
    from rich.table import Table

    several_seeds = len({row["seed"] for row in rows}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("arm", "trained on"):
        table.add_column(heading, overflow="fold")
    for heading in ("accuracy %", "minus real"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        arm = f"{row['generator']} {row['percent']} %" + (f" #{row['seed']}" if several_seeds else "")
        table.add_row(arm, str(row["source"]), *_numbers(row))
    return table


def _numbers(row: Row) -> tuple[str, str]:
    if row["accuracy"] is None:
        return "no labels", ""
    low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
    accuracy = f"{100 * row['accuracy']:.2f} [{low:.2f}, {high:.2f}]"
    if row["source"] == "real":
        return accuracy, ""
    half_width = 50 * (row["difference_high"] - row["difference_low"])
    return accuracy, f"{100 * row['difference']:+.2f} ± {half_width:.2f}"
