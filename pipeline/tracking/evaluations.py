"""The runs of the stage evaluate in MLflow: what identifies them, and which of them compare with each other.

A run names the settings that its results depend on, as params and by their hash, and the MD5 by which
dvc.lock knows its metrics. Both are needed: a run with the same settings can have other code, and if a stage
gave the same output under new settings, evaluate did not run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmint.runtime.errors import InputError
from pipeline.dvc import lock_file
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema
from pipeline.settings.of_arm import arms_of, digest, settings_of
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from pipeline.tracking.spool import SpoolTracker

SETTINGS, METRICS_MD5 = "settings", "metrics_md5"
"""Tags of a run: the hash of its settings, and the MD5 of the metrics file that it wrote."""
_FINISHED = "attributes.status = 'FINISHED'"


@dataclass
class Selection:
    """Runs to compare.

    runs: one per arm, and several of one arm only if several were requested. missing: {arm: why it has no
    run}. notes: sentences about the choice.
    """

    runs: list[Any] = field(default_factory=list)
    missing: dict[Arm, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def identify(root: Path, params: schema.Params, arm: Arm, tracker: SpoolTracker) -> None:
    """Record what identifies the results that the stage evaluate has just written."""
    settings = settings_of(params, arm)
    tracker.log_params(settings)
    tracker.write({"tags": {SETTINGS: digest(settings), METRICS_MD5: md5(Paths(root).metrics(arm))}})


def md5(path: Path) -> str:
    """The hash by which DVC knows the file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def in_force(root: Path, client: Any, experiment: str, params: schema.Params) -> Selection:
    """For each arm that params.yaml names, the run whose results belong to the settings of params.yaml.

    It is the run whose metrics dvc.lock names, if dvc.lock was written with these settings: what `labelmint
    results` shows. Otherwise it is the newest run with these settings.
    """
    selection, raw = Selection(), schema.read(root / PARAMS_FILE)
    for arm in arms_of(params):
        of_arm = f"{_evaluations()} and tags.arm = '{arm.name}'"
        file = Paths(root).metrics(arm).relative_to(root).as_posix()
        md5 = lock_file.output_in_force(root, f"evaluate@{arm.name}", file, raw)
        wanted = [f"tags.{METRICS_MD5} = '{md5}'"] if md5 else []
        wanted += [f"tags.{SETTINGS} = '{digest(settings_of(params, arm))}'"]
        found = next(
            (runs[0] for each in wanted if (runs := _search(client, experiment, f"{of_arm} and {each}", 1))),
            None,
        )
        if found is not None:
            selection.runs.append(found)
        else:
            others = bool(_search(client, experiment, of_arm, 1))
            selection.missing[arm] = "no run with these settings" + (", only with others" if others else "")
    return selection


def of_latest_pipeline(client: Any, experiment: str) -> Selection:
    """Runs of the latest pipeline run that has results, with those that it reused."""
    for parent in _search(client, experiment, "tags.stage = 'pipeline'", 50):
        if runs := _of_pipeline(client, experiment, parent):
            return Selection(runs, notes=[f"run {parent.info.run_id}, the latest of this data set"])
    return Selection()


def requested(client: Any, experiment: str, names: Iterable[str]) -> Selection:
    """The runs with these ids or names: runs of a pipeline, or of the stage evaluate.

    Raises: InputError if there is no such run, or more than one.
    """
    selection = Selection()
    for name in names:
        run = _run(client, experiment, name)
        is_pipeline = run.data.tags.get("stage") == "pipeline"
        runs = _of_pipeline(client, experiment, run) if is_pipeline else [run]
        if not runs or "arm" not in runs[0].data.tags:
            raise InputError(f"run {name}: no finished evaluation belongs to it")
        selection.runs += [each for each in runs if each not in selection.runs]
    return selection


def differing_settings(runs: Iterable[Any]) -> dict[str, list[str]]:
    """{setting: its values} for the settings in which runs differ, of those that they recorded."""
    recorded = [run.data.params for run in runs]
    names = {name for params in recorded for name in params if "." in name}
    values = {
        name: sorted({params[name] for params in recorded if name in params})
        for name in sorted(names)
        if not name.startswith("compute.")
    }
    return {name: found for name, found in values.items() if len(found) > 1}


def _evaluations() -> str:
    return f"tags.stage = 'evaluate' and {_FINISHED}"


def _run(client: Any, experiment: str, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    quoted = name.replace("'", "")
    found = _search(client, experiment, f"attributes.run_name = '{quoted}'", 6)
    try:
        found = found or [client.get_run(name)]
    except MlflowException:
        raise InputError(f"run {name}: MLflow has no run with this id or name") from None
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found)
        raise InputError(f"run {name}: several runs have this name; name one by its id: {ids}")
    return found[0]


def _of_pipeline(client: Any, experiment: str, parent: Any) -> list[Any]:
    """Evaluations of a pipeline run, and those that it reused."""
    own = _search(
        client, experiment, f"{_evaluations()} and tags.mlflow.parentRunId = '{parent.info.run_id}'", 1000
    )
    reused = [
        client.get_run(value)
        for name, value in parent.data.tags.items()
        if name.startswith("reused.evaluate")
    ]
    return own + reused


def _search(client: Any, experiment: str, query: str, most: int) -> list[Any]:
    """At most that many runs, newest first."""
    return list(
        client.search_runs([experiment], query, max_results=most, order_by=["attributes.start_time DESC"])
    )
