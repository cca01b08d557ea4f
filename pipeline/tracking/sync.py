"""The command `labelmint sync`: ship all waiting spools to the MLflow that is set now."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.tracking import refusals
from pipeline.tracking.address import public_uri
from pipeline.tracking.ship import Shipment
from pipeline.tracking.spool_folder import ERROR, SPOOL, locked, waiting

_WAIT_SECONDS = 30.0  # for another process that is shipping a spool


def sync_all(root: Path) -> str:
    """Ship all waiting spools.

    Returns: a sentence that says how many, and what was refused.
    Raises: ConnectionError, in one line, if a tracker fails.
    """
    before, uri = waiting(root), public_uri(root)
    shipment, deadline = Shipment(root), time.monotonic() + _WAIT_SECONDS
    while True:
        # Until a pass ships nothing more: a pipeline's run ends after the runs of its stages, which another
        # process may have shipped meanwhile.
        folders = waiting(root)
        finished, errors = shipment.ship(folders)
        if errors:
            raise ConnectionError(f"{errors[0]}; nothing is lost, try again later")
        if finished or waiting(root) != folders:
            continue
        if not any(_is_held(folder) for folder in folders) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    left = len(waiting(root))
    if before:
        (root / SPOOL / ERROR).unlink(missing_ok=True)
    done = f"{max(0, len(before) - left)} of {len(before)} runs shipped to {uri}"
    more = f"{left} are still running or being shipped" if left else ""
    return "; ".join(part for part in (done, more, refusals.describe(root)) if part)


def preview(root: Path) -> str:
    """A sentence that says what `sync_all` would do."""
    return f"{len(waiting(root))} runs wait to be shipped to {public_uri(root)}; none was"


def _is_held(folder: Path) -> bool:
    """Whether another process is shipping this spool, and may yet fail."""
    with locked(folder / "shipping") as mine:
        return not mine and folder.exists()
