"""The MLflow run of a pipeline run, the parent of the runs of its stages: what every such run records.

`flow_run.py` opens one for a flow and `repro_run.py` one for `dvc repro`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labelmint.runtime.git import GitError, git
from labelmint.runtime.settings import flat
from pipeline.dvc import lock_file
from pipeline.settings import experiments
from pipeline.settings.of_arm import arms_of
from pipeline.settings.schema import Params
from pipeline.tracking import models
from pipeline.tracking.spool import SpoolTracker
from stages.paths import Paths

NAME = "pipeline"


def tags(root: Path, params: Params, **more: Any) -> dict[str, Any]:
    """Tags of the run: the settings by group, the experiment, and `more`."""
    return {
        "stage": NAME,
        "stage_name": NAME,
        "dataset": params.dataset.name,
        "experiments": experiments.label_in_use(root),
        "git.dirty": _dirty(root),
        **{f"params.{name}": json.dumps(group) for name, group in _groups(params).items()},
        **more,
    }


def record_settings(params: Params, tracker: SpoolTracker) -> None:
    """Record every setting in use as a param."""
    tracker.log_params(flat(_groups(params)))


def record_stages(root: Path, tracker: SpoolTracker, ran: Collection[str], reused: Collection[str]) -> None:
    """Record which stages ran, so that later runs find the one that made a result, and which were reused."""
    hashes = lock_file.fingerprints(root)
    tracker.write({"tags": {f"ran.{stage}": hashes[stage] for stage in ran if stage in hashes}})
    if found := {stage: hashes[stage] for stage in reused if stage in hashes}:
        tracker.write({"reused": found})


def record_results(root: Path, tracker: SpoolTracker) -> None:
    """Record the accuracies of the report by percent: as metrics, and as one chart of all sources."""
    from labelmint.reporting.tables import read_results  # imports numpy, which compute.portable comes before

    table = read_results(Paths(root).reports / "results.csv")
    rows = [row for row in table if row["accuracy"] is not None]
    for row in rows:
        name = f"accuracy/{row['generator']}/{row['source']}"
        tracker.log_metrics({name: row["accuracy"]}, step=row["percent"])
    columns = ("generator", "percent", "seed", "source", "accuracy", "accuracy_low", "accuracy_high")
    tracker.write({"accuracies": [{name: row[name] for name in columns} for row in rows]})


def record_data(root: Path, params: Params, tracker: SpoolTracker) -> None:
    """Record the data set, and the best classifier of the arms that params.yaml names."""
    paths = Paths(root)
    tracker.log_data(paths.tensors / "manifest.json", params.dataset.name, "pipeline")
    models.offer(paths, arms_of(params), tracker)


def recorded(tracker: SpoolTracker, record: Callable[[], None]) -> None:
    """Call `record`. Its error becomes a tag of the run, since a failed record must not fail the work."""
    try:
        record()
    except Exception as error:
        tracker.write({"tags": {"record_incomplete": f"{type(error).__name__}: {error}"}})


def _groups(params: Params) -> dict[str, Any]:
    """The settings by group, of the families only those in use."""
    groups = asdict(params)
    groups["families"] = {name: groups["families"][name] for name in params.generators}
    return groups


def _dirty(root: Path) -> bool | str:
    """Whether tracked files differ from the commit; "unknown" where git does not say."""
    try:
        return bool(git(root, "status", "--porcelain", "-uno"))
    except GitError as error:
        return f"unknown: {error}"
