"""`labelmint sync`: everything that waits, now, to the MLflow that is set now."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.tracking.ship import locked, ship, waiting
from pipeline.tracking.spool import ERROR, SPOOL, public_uri, without_credentials

_PATIENCE_SECONDS = 30.0  # for a process apart that has a record in its hands


def sync_all(root: Path) -> str:
    """Returns: what was done, in a sentence. Raises: ConnectionError in one line when MLflow cannot take it."""
    from pipeline.tracking.store import Store

    before, uri = waiting(root), public_uri(root)
    try:
        store = Store(root) if before else None
        until = time.monotonic() + _PATIENCE_SECONDS
        while store:
            # Until a pass ships nothing more: a pipeline's own run ends only after those of its stages.
            while any([ship(store, folder) for folder in waiting(root)]):
                pass
            if not any(_held(folder) for folder in waiting(root)) or time.monotonic() > until:
                break
            time.sleep(0.2)
    except Exception as error:  # MLflow's clients raise many kinds
        raise ConnectionError(f"{uri}: {without_credentials(root, error)}; nothing is lost, try again later") from error
    left = len(waiting(root))
    if before:
        (root / SPOOL / ERROR).unlink(missing_ok=True)
    return f"{max(0, len(before) - left)} of {len(before)} runs shipped to {uri}" + (
        f"; {left} are still running or being shipped" if left else ""
    )


def preview(root: Path) -> str:
    """What sync_all would do, in a sentence."""
    return f"{len(waiting(root))} runs wait to be shipped to {public_uri(root)}; none was"


def _held(folder: Path) -> bool:
    """Whether another process is shipping this one, and may yet fail."""
    with locked(folder / "shipping") as mine:
        return not mine and folder.exists()
