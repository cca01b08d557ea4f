"""The MLflow run of a plain `dvc repro`, of which no process of this project knows the beginning or the end.

Its stages share it: the first one opens its spool, whose name ends with the key of the run's owner, DVC's
process, and each notes in it how it ended. The run ends with its owner; the shipper then gives it the status
of its stages. The owner of `make repro` stays the same while several processes of DVC work for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from labelmint.runtime.progress import say
from pipeline.dvc import lock_file
from pipeline.project import project_of
from pipeline.settings.of_arm import arms_of
from pipeline.settings.schema import Params
from pipeline.tracking import pipeline_run
from pipeline.tracking.owner import owner_of_run
from pipeline.tracking.pipeline_run import NAME
from pipeline.tracking.spool import PARENT_RUN, SpoolTracker, is_on, join_spool, open_spool
from pipeline.tracking.spool_folder import SPOOL, locked

_LOCK = "opening.lock"


class ReproRun:
    """The record of a `dvc repro`, as one of its stages sees it.

    key: the name by which the stage refers to its parent; None if it is not part of such a run, since a flow
    or a user started it.
    """

    def __init__(self, root: Path, params: Params):
        self.root, self.settings = root, params
        self.stage = os.environ.get("DVC_STAGE", "")
        try:
            self.tracker = _open(root, params, self.stage)
        except Exception as error:  # e.g. without git; no stage fails because of its records
            say(f"not tracked: {type(error).__name__}: {error}")
            self.tracker = SpoolTracker(None)
        self.key = self.tracker.folder.name if self.tracker.folder else None
        self.tracker.write({"began": self.stage})

    def close(self, status: str) -> None:
        """Record how the stage ended: FINISHED, FAILED or KILLED; after the report, also the results."""
        if (folder := self.tracker.folder) and status == "FINISHED" and self.stage == "report":
            pipeline_run.recorded(self.tracker, lambda: self._record(folder))
        self.tracker.write({"stage": self.stage, "status": status})
        self.tracker.leave()

    def _record(self, folder: Path) -> None:
        events = [json.loads(line) for line in (folder / "events.jsonl").open(encoding="utf-8")]
        ran = {event["stage"] for event in events if event.get("status") == "FINISHED"}
        # Not the report: its entry in dvc.lock is still that of an earlier run.
        needed = lock_file.with_needs(self.root, [f"evaluate@{arm.name}" for arm in arms_of(self.settings)])
        reused = [stage for stage in needed if stage not in ran]
        self.tracker.log_metrics({"stages/ran": len(ran) + 1, "stages/reused": len(reused)})
        pipeline_run.record_stages(self.root, self.tracker, ran, reused)
        pipeline_run.record_results(self.root, self.tracker)
        pipeline_run.record_data(self.root, self.settings, self.tracker)


def _open(root: Path, params: Params, stage: str) -> SpoolTracker:
    in_flow, is_secondary = PARENT_RUN in os.environ, os.environ.get("RANK", "0") != "0"
    owner = None if in_flow or is_secondary or not stage or not is_on() else owner_of_run(stage)
    if owner is None:
        return SpoolTracker(None)
    project = project_of(root)
    spools = project / SPOOL
    spools.mkdir(parents=True, exist_ok=True)
    with locked(spools / _LOCK, wait=True):  # of two stages that start at once, one opens the run
        if found := next(spools.glob(f"*-{NAME}-{owner.key}/run.json"), None):
            return join_spool(found.parent)
        tags = pipeline_run.tags(root, params)
        chosen = params.tracking.chosen
        tracker = open_spool(project, NAME, tags, params.dataset.name, owner=owner, trackers=chosen)
        pipeline_run.record_settings(params, tracker)
        return tracker
