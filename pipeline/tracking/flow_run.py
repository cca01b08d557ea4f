"""The MLflow run of a run of the Prefect flow."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.settings.schema import Params
from pipeline.tracking import address, destinations, pipeline_run
from pipeline.tracking.pipeline_run import NAME
from pipeline.tracking.spool import SpoolTracker, open_spool
from pipeline.tracking.spool_folder import ERROR, LAST_RUN, SPOOL

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_WAIT_SECONDS = 20.0


class TrackedRun:
    """The record of one run of the flow.

    key: the name by which stages refer to their parent, since MLflow's id may not exist yet; empty if nothing
    is tracked. Raises: InputError if the package of a tracker is not installed.
    """

    def __init__(self, root: Path, params: Params, flow_run_id: str, dry: bool):
        self.root, self.settings = root, params
        tags = pipeline_run.tags(root, params, **{"prefect.flow_run": flow_run_id})
        trackers, dataset = params.tracking.chosen, params.dataset.name
        destinations.check(trackers)
        self.tracker = SpoolTracker(None) if dry else open_spool(root, NAME, tags, dataset, trackers=trackers)
        self.key = self.tracker.folder.name if self.tracker.folder else ""
        pipeline_run.record_settings(params, self.tracker)

    def close(self, status: str, outcome: Mapping[str, State]) -> None:
        """Record the outcome and end the run. Never raises.

        outcome: {stage: its final Prefect state}.
        """
        if self.tracker.folder is None:
            return
        pipeline_run.recorded(self.tracker, lambda: self._record(outcome))
        self.tracker.close(status)

    def links(self, mlflow: str) -> dict[str, str]:
        """{stage: URL of its run} in MLflow's UI at `mlflow`; empty if the runs are not there within 20 s."""
        last_run = self._last_run() if self.key else None
        if last_run is None:
            return {}
        return {
            name: address.page(mlflow, last_run["experiment_id"], run_id)
            for name, run_id in {NAME: last_run["run_id"], **last_run["stages"]}.items()
        }

    def _last_run(self) -> dict[str, Any] | None:
        """What the shipper has written about this run."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline and not (self.root / SPOOL / ERROR).exists():
            try:
                last_run: dict[str, Any] = json.loads(
                    (self.root / SPOOL / LAST_RUN).read_text(encoding="utf-8")
                )
                if last_run["key"] == self.key:
                    return last_run
            except (OSError, ValueError):
                pass
            time.sleep(0.3)
        return None

    def _record(self, outcome: Mapping[str, State]) -> None:
        names = {stage: state.name or "" for stage, state in outcome.items()}
        counts = Counter(name.lower() for name in names.values())
        self.tracker.log_metrics({f"stages/{name}": count for name, count in counts.items()})
        ran = [stage for stage, name in names.items() if name == "Ran"]
        reused = [stage for stage, name in names.items() if name in ("Restored", "Unchanged")]
        pipeline_run.record_stages(self.root, self.tracker, ran, reused)
        lock = self.root / "dvc.lock"
        if lock.exists():
            self.tracker.write({"tags": {"dvc.lock": hashlib.sha256(lock.read_bytes()).hexdigest()}})
        if "report" in outcome and outcome["report"].is_completed():
            pipeline_run.record_results(self.root, self.tracker)
        if any(stage.startswith("evaluate") and state.is_completed() for stage, state in outcome.items()):
            pipeline_run.record_data(self.root, self.settings, self.tracker)
