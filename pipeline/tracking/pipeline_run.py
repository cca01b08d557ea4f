"""A pipeline run as MLflow sees it: the parent of its stages' runs."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from labelmint.runtime.settings import flat
from pipeline.dvc import graph
from pipeline.settings import experiments
from pipeline.tracking import models
from pipeline.tracking.spool import ERROR, LAST_RUN, SPOOL, SpoolTracker, open_spool
from stages.paths import Arm, Paths

NAME = "pipeline"
_WAIT_SECONDS = 20.0


class TrackedRun:
    """key: by which stages name their parent, since MLflow's own id may not be there yet; empty when nothing is tracked."""

    def __init__(self, root: Path, settings: Any, flow_run_id: str, dry: bool):
        self.root, self.settings = root, settings
        self.started = time.time()
        groups = asdict(settings)
        groups["families"] = {name: groups["families"][name] for name in settings.generators}  # those that are used
        tags = {
            "stage": NAME,
            "stage_name": NAME,
            "dataset": settings.dataset.name,
            "experiments": experiments.in_use(root).label,
            "prefect.flow_run": flow_run_id,
            "git.dirty": _dirty(root),
            **{f"params.{name}": json.dumps(group) for name, group in groups.items()},
        }
        self.tracker = SpoolTracker(None) if dry else open_spool(root, NAME, tags, settings.dataset.name)
        self.key = self.tracker.folder.name if self.tracker.folder else ""
        self.tracker.log_params(flat(groups))

    def close(self, status: str, outcome: Mapping[str, Any]) -> None:
        """outcome: {stage: its final Prefect state}. Never raises: a record is not worth a run."""
        if self.tracker.folder is None:
            return
        try:
            self._tell(outcome)
        except Exception as error:
            self.tracker.write({"tags": {"record_incomplete": f"{type(error).__name__}: {error}"}})
        self.tracker.close(status)

    def links(self, mlflow: str) -> dict[str, str]:
        """{stage: address of its run} in the pages at `mlflow`; empty when MLflow has not got them within a little while."""
        if not self.key:
            return {}
        told = self._last_run()
        return {} if told is None else {
            name: f"{mlflow}/#/experiments/{told['experiment_id']}/runs/{run_id}"
            for name, run_id in {NAME: told["run_id"], **told["stages"]}.items()
        }  # fmt: skip

    def _last_run(self) -> dict[str, Any] | None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline and not (self.root / SPOOL / ERROR).exists():
            try:
                told: dict[str, Any] = json.loads((self.root / SPOOL / LAST_RUN).read_text())
                if told["key"] == self.key:
                    return told
            except (OSError, ValueError):
                pass
            time.sleep(0.3)
        return None

    def _tell(self, outcome: Mapping[str, Any]) -> None:
        layout, lock = Paths(self.root), self.root / "dvc.lock"
        made = graph.fingerprints(self.root)
        kinds = [state.name.lower() for state in outcome.values()]
        self.tracker.log_metrics({f"stages/{kind}": kinds.count(kind) for kind in set(kinds)})
        tags = {f"ran.{name}": made[name] for name, state in outcome.items() if state.name == "Ran" and name in made}
        if lock.exists():
            tags["dvc.lock"] = hashlib.sha256(lock.read_bytes()).hexdigest()
        self.tracker.write({"tags": tags})
        reused = {name: made[name] for name, state in outcome.items() if state.name in ("Restored", "Unchanged") and name in made}  # fmt: skip
        if reused:
            self.tracker.write({"reused": reused})
        self.tracker.log_data(layout.tensors / "manifest.json", self.settings.dataset.name, "pipeline")
        if "report" in outcome and outcome["report"].is_completed():
            for row in results(self.root):
                name = f"accuracy/{row['generator']}/{row['source']}"
                self.tracker.log_metrics({name: float(row["accuracy"])}, step=int(row["percent"]))
        settings = self.settings
        arms = [Arm(*each) for each in product(settings.generators, settings.percents, settings.seeds)]
        if any(name.startswith("evaluate") and state.is_completed() for name, state in outcome.items()):
            models.offer(layout, arms, self.tracker)


def results(root: Path) -> list[dict[str, str]]:
    """Rows of reports/results.csv."""
    with (root / "reports" / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _dirty(root: Path) -> bool:
    done = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True)
    return bool(done.stdout.strip())
