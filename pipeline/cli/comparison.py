"""Implementation of `labelmint compare`: fractions side by side, read from MLflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError, Unreachable
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema
from pipeline.tracking import chart, evaluations
from pipeline.tracking.chart import SOURCES
from stages.paths import Arm

_MAX_DIFFERENCES = 8  # in one line
_ACCURACY = "accuracy"

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What there is to compare.

    rows: one per run and source, with generator, percent, seed, source, the metrics, run_id, and settings, a
    hash; for an arm without a run one with source None and `missing`, the reason. notes: sentences about the
    choice of runs. several: whether the runs have different settings.
    """

    rows: list[Row]
    notes: list[str]
    several: bool


def collect(root: Path, dataset: str = "", runs: Sequence[str] = ()) -> Comparison:
    """Results from MLflow: of the settings of params.yaml, of the arms that it names, and of no others.

    Args:
        root: The project's folder.
        dataset: Name of another data set than that of params.yaml, whose latest pipeline run is taken.
        runs: Ids or names of runs to take instead.

    Raises: InputError if MLflow has no results of them; Unreachable, in one line, if it cannot be read.
    """
    from pipeline.tracking.address import (
        experiment_name,
        own_store,
        public_uri,
        tracking_uri,
        without_credentials,
    )

    params = schema.load(root / PARAMS_FILE)
    dataset = dataset or params.dataset.name
    uri, name = public_uri(root), experiment_name(dataset)
    absent = f"no results of {dataset} in MLflow at {uri}, experiment {name}"
    advice = "`labelmint run` or `dvc repro` creates some, `labelmint sync` sends those that wait"
    if tracking_uri(root) == f"sqlite:///{own_store(root)}" and not own_store(root).exists():
        # MLflow would take seconds to create a database and find nothing in it.
        raise InputError(f"{absent}; {advice}")
    from pipeline.tracking.destinations.mlflow import Store

    try:
        client = Store(root).client
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise InputError(f"{absent}; {advice}")
        where = (client, experiment.experiment_id)
        if runs:
            found = evaluations.requested(*where, runs)
        elif dataset == params.dataset.name:
            found = evaluations.in_force(root, *where, params)
        else:
            found = evaluations.of_latest_pipeline(*where)
    except InputError:
        raise
    except Exception as error:  # MLflow's clients raise many types
        raise Unreachable(f"{uri}: {without_credentials(root, error)}") from error
    rows = [row for run in found.runs for row in _rows(run)]
    if not rows:
        if found.missing:
            raise InputError(
                f"{absent} with the settings of params.yaml; {advice}; --run ID shows a run with others"
            )
        raise InputError(f"{absent}; {advice}")
    rows += [_missing(arm, why) for arm, why in found.missing.items()]
    order = {run.info.run_id: index for index, run in enumerate(found.runs)}
    rows.sort(
        key=lambda row: (
            *(row["generator"], row["seed"], row["percent"], order.get(row["run_id"], 0)),
            SOURCES.index(row["source"]) if row["source"] else 0,
        )
    )
    # Runs that were chosen by their settings can differ only in some that their results do not depend on.
    differing = evaluations.differing_settings(found.runs) if runs else {}
    groups = {(row["generator"], row["settings"]) for row in rows} if runs else set()
    several = bool(differing) or len(groups) > len({generator for generator, _ in groups})
    return Comparison(rows, found.notes + _mixture(differing), several)


def _missing(arm: Arm, why: str) -> Row:
    identity = {"generator": arm.generator, "percent": arm.percent, "seed": arm.seed}
    return {**identity, "source": None, "run_id": None, "settings": None, "missing": why}


def _mixture(differing: dict[str, list[str]]) -> list[str]:
    if not differing:
        return []
    listed = [f"{name} ({' | '.join(values)})" for name, values in differing.items()]
    more = f" and {len(listed) - _MAX_DIFFERENCES} more" if len(listed) > _MAX_DIFFERENCES else ""
    return [f"runs of different settings: {', '.join(listed[:_MAX_DIFFERENCES])}{more}"]


def _rows(run: Any) -> Iterable[Row]:
    tags, settings = run.data.tags, run.data.tags.get(evaluations.SETTINGS, "unknown")
    sources: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in run.data.metrics.items():
        metric, _, source = name.rpartition("/")
        if source in SOURCES:
            sources[source][metric] = value
    for source, metrics in sources.items():
        if _ACCURACY in metrics:
            arm = {"generator": tags["generator"], "percent": int(tags["percent"]), "seed": int(tags["seed"])}
            found = {"dataset": tags.get("dataset"), "split": run.data.params.get("metrics.split")}
            yield {
                **found,
                **arm,
                "source": source,
                **metrics,
                "run_id": run.info.run_id,
                "settings": settings,
            }


def to_text(found: Comparison) -> str:
    """Accuracies in percent with their 95 % intervals, one line per run, and the notes below."""
    lines_of: dict[Any, dict[str | None, Row]] = defaultdict(dict)
    for row in found.rows:
        arm = (row["generator"], row["percent"], row["seed"])
        lines_of[*arm, row["settings"], row["run_id"]][row["source"]] = row
    width = max(len("generator"), *(len(generator) for generator, *_ in lines_of))
    heading = f"{'generator':{width}}  real data  seed  " + ("settings  " if found.several else "")
    lines = [heading + "  ".join(f"{source:>21}" for source in SOURCES)]
    for (generator, percent, seed, settings, _), sources in lines_of.items():
        cells = "  ".join(f"{_cell(sources.get(source)):>21}" for source in SOURCES)
        if None in sources:
            cells = sources[None]["missing"]
        label = f"{(settings or '')[:8]:8}  " if found.several else ""
        lines.append(f"{generator:{width}}  {percent:>7} %  {seed:>4}  {label}{cells}")
    return "\n".join([*lines, *found.notes])


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    low, high = row["accuracy_low"], row["accuracy_high"]
    return f"{100 * row[_ACCURACY]:.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def plot(found: Comparison, path: Path, dataset: str) -> None:
    """Write a PNG of accuracy, with intervals, by percentage of real data."""
    rows = [row for row in found.rows if row["source"] is not None]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chart.png(rows, dataset, by_settings=found.several))
