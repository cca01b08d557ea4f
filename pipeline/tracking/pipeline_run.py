"""The MLflow run of a pipeline run: the parent of the runs of its stages."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmint.reporting.tables import read_results
from labelmint.runtime.settings import flat
from pipeline.dvc import lock_file
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.tracking import models
from pipeline.tracking.spool import ERROR, LAST_RUN, SPOOL, SpoolTracker, open_spool
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

NAME = "pipeline"
_WAIT_SECONDS = 20.0


class TrackedRun:
    """The record of one pipeline run.

    key: the name by which stages refer to their parent, since MLflow's id may not exist yet; empty if nothing
    is tracked.
    """

    def __init__(self, root: Path, params: settings.Params, flow_run_id: str, dry: bool):
        self.root, self.settings = root, params
        groups = asdict(params)
        groups["families"] = {
            name: groups["families"][name] for name in params.generators
        }  # only those in use
        tags = {
            "stage": NAME,
            "stage_name": NAME,
            "dataset": params.dataset.name,
            "experiments": experiments.in_use(root).label,
            "prefect.flow_run": flow_run_id,
            "git.dirty": _has_uncommitted_changes(root),
            **{f"params.{name}": json.dumps(group) for name, group in groups.items()},
        }
        self.tracker = SpoolTracker(None) if dry else open_spool(root, NAME, tags, params.dataset.name)
        self.key = self.tracker.folder.name if self.tracker.folder else ""
        self.tracker.log_params(flat(groups))

    def close(self, status: str, outcome: Mapping[str, State]) -> None:
        """Record the outcome and end the run. Never raises: a failed record must not fail the run.

        outcome: {stage: its final Prefect state}.
        """
        if self.tracker.folder is None:
            return
        try:
            self._record(outcome)
        except Exception as error:
            self.tracker.write({"tags": {"record_incomplete": f"{type(error).__name__}: {error}"}})
        self.tracker.close(status)

    def links(self, mlflow: str) -> dict[str, str]:
        """{stage: URL of its run} in MLflow's UI at `mlflow`; empty if the runs are not there within 20 s."""
        last_run = self._last_run() if self.key else None
        if last_run is None:
            return {}
        return {
            name: f"{mlflow}/#/experiments/{last_run['experiment_id']}/runs/{run_id}"
            for name, run_id in {NAME: last_run["run_id"], **last_run["stages"]}.items()
        }

    def _last_run(self) -> dict[str, Any] | None:
        """What the shipper has written about this run."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline and not (self.root / SPOOL / ERROR).exists():
            try:
                last_run: dict[str, Any] = json.loads((self.root / SPOOL / LAST_RUN).read_text())
                if last_run["key"] == self.key:
                    return last_run
            except (OSError, ValueError):
                pass
            time.sleep(0.3)
        return None

    def _record(self, outcome: Mapping[str, State]) -> None:
        paths, lock = Paths(self.root), self.root / "dvc.lock"
        hashes = lock_file.fingerprints(self.root)
        names = {stage: state.name or "" for stage, state in outcome.items()}
        counts = Counter(name.lower() for name in names.values())
        self.tracker.log_metrics({f"stages/{name}": count for name, count in counts.items()})
        ran = [stage for stage, name in names.items() if name == "Ran" and stage in hashes]
        tags = {f"ran.{stage}": hashes[stage] for stage in ran}
        if lock.exists():
            tags["dvc.lock"] = hashlib.sha256(lock.read_bytes()).hexdigest()
        self.tracker.write({"tags": tags})
        reused = [
            stage for stage, name in names.items() if name in ("Restored", "Unchanged") and stage in hashes
        ]
        if reused:
            self.tracker.write({"reused": {stage: hashes[stage] for stage in reused}})
        self.tracker.log_data(paths.tensors / "manifest.json", self.settings.dataset.name, "pipeline")
        if "report" in outcome and outcome["report"].is_completed():
            for row in read_results(paths.reports / "results.csv"):
                if row["accuracy"] is not None:
                    name = f"accuracy/{row['generator']}/{row['source']}"
                    self.tracker.log_metrics({name: row["accuracy"]}, step=row["percent"])
        params = self.settings
        arms = [Arm(*each) for each in product(params.generators, params.percents, params.seeds)]
        if any(stage.startswith("evaluate") and state.is_completed() for stage, state in outcome.items()):
            models.offer(paths, arms, self.tracker)


def _has_uncommitted_changes(root: Path) -> bool:
    done = subprocess.run(
        ["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=False
    )
    return bool(done.stdout.strip())
