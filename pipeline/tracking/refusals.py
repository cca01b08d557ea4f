"""Records that MLflow refuses, such as an invalid name: they are set aside, and all others are shipped.

They are kept in `.tracking/refused`: single records as lines of `<spool>.jsonl`, each with the reason, and a
spool whose run MLflow refuses as the whole folder. To try again, e.g. with another MLflow, move such a folder
back to `.tracking`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from labelmint.runtime.words import counted
from pipeline.tracking.spool_folder import SPOOL

Item = TypeVar("Item")

REFUSED = "refused"
"""Folder in SPOOL."""
_REASON = "reason"
_STATUSES = (400, 413, 422)
"""HTTP statuses of an answer about the content; others are about the server, the network or the user."""
_OWN_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Of this program and its libraries about the content, e.g. of a classifier that cannot be exported."""


def is_refusal(error: Exception) -> bool:
    """Whether the error is about what was sent, and would come again; not about the server or the disk."""
    if status := _http_status(error):
        return status in _STATUSES
    # Pillow's error about a damaged figure is an OSError too; so is that of a file which the spool lacks.
    if isinstance(error, OSError):
        return isinstance(error, FileNotFoundError) or type(error).__name__ == "UnidentifiedImageError"
    return isinstance(error, _OWN_ERRORS)


def _http_status(error: Exception) -> int | None:
    """Status of MLflow's answer, or of another HTTP server's; None if there was no answer."""
    if hasattr(error, "get_http_status_code"):  # MLflow's own class, which is slow to import
        return int(error.get_http_status_code())
    return getattr(getattr(error, "response", None), "status_code", None)


def send(
    items: Sequence[Item],
    size: int,
    action: Callable[[Sequence[Item]], object],
    refuse: Callable[[Item, Exception], None],
) -> None:
    """Call `action` with batches of `size` items. A batch that is refused is tried again in halves.

    refuse: called with each single item that is refused.
    """
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        try:
            action(batch)
        except Exception as error:  # MLflow's clients raise many types
            if not is_refusal(error):
                raise
            if len(batch) == 1:
                refuse(batch[0], error)
            else:
                send(batch, -(-len(batch) // 2), action, refuse)


def set_aside(root: Path, spool: str, record: dict[str, Any], reason: str) -> None:
    """Keep one record of a spool with the reason."""
    folder = root / SPOOL / REFUSED
    folder.mkdir(exist_ok=True)
    with (folder / f"{spool}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({_REASON: reason, **record}, default=str) + "\n")


def set_spool_aside(root: Path, folder: Path, reason: str) -> None:
    """Move a whole spool."""
    set_aside(root, folder.name, {"spool": folder.name}, reason)
    folder.rename(root / SPOOL / REFUSED / folder.name)


def describe(root: Path) -> str:
    """How many records are set aside, and why the latest of them is; empty if none is."""
    files = sorted((root / SPOOL / REFUSED).glob("*.jsonl"))
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    if not lines:
        return ""
    latest = json.loads(lines[-1])
    reason = f"{_name(latest)}: {latest[_REASON]}"
    return f"{counted(len(lines), 'record')} refused and kept in {SPOOL / REFUSED} ({reason})"


def _name(record: dict[str, Any]) -> str:
    """What was refused, e.g. "param a/../b"."""
    kind = next(name for name in record if name != _REASON)
    value = record[kind]
    return f"{kind} {value.get('key', '') if isinstance(value, dict) else value}".strip()
