"""Implementation of `labelmint compare`: fractions side by side, read from MLflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError, Unreachable

SOURCES = ("real", "synthetic", "mixed")
_MAX_RUNS = 5000
_ACCURACY = "accuracy"
_COLOURS = {"real": "#555555", "synthetic": "#c8553d", "mixed": "#2a7f9e"}
_STYLES = ("-", "--", ":", "-.")

Row = dict[str, Any]


def collect(root: Path, dataset: str) -> list[Row]:
    """One row per arm and source: generator, percent, seed, source, the metrics, and run_id.

    The rows are those of the latest pipeline run, with what it reused from earlier runs. If runs of plain
    `dvc repro` are newer, they are the latest ones of every arm.
    Raises InputError if MLflow has no results, and Unreachable, in one line, if MLflow cannot be read.
    """
    from pipeline.tracking.address import (
        experiment_name,
        own_store,
        public_uri,
        tracking_uri,
        without_credentials,
    )

    uri, name = public_uri(root), experiment_name(dataset)
    absent = InputError(
        f"no results of {dataset} in MLflow at {uri}, experiment {name}; `labelmint run` or `dvc repro` "
        "creates some, `labelmint sync` sends those that wait"
    )
    if tracking_uri(root) == f"sqlite:///{own_store(root)}" and not own_store(root).exists():
        raise absent  # MLflow would take seconds to create a database and find nothing in it
    from pipeline.tracking.store import Store

    try:
        client = Store(root).client
        experiment = client.get_experiment_by_name(name)
        runs = _search(client, experiment.experiment_id) if experiment else []
    except Exception as error:  # MLflow's clients raise many types
        raise Unreachable(f"{uri}: {without_credentials(root, error)}") from error
    chosen = _choose(runs)
    if not chosen:
        raise absent
    rows = [row for run in chosen for row in _rows(run)]
    return sorted(
        rows, key=lambda row: (row["generator"], row["seed"], row["percent"], SOURCES.index(row["source"]))
    )


def _search(client: Any, experiment: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while len(found) < _MAX_RUNS:
        page = client.search_runs(
            [experiment], order_by=["attributes.start_time DESC"], max_results=500, page_token=token
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _choose(runs: list[Any]) -> list[Any]:
    """The runs to compare. runs: newest first."""
    measured = [run for run in runs if _is_measured(run) and run.info.status == "FINISHED"]
    by_id = {run.info.run_id: run for run in measured}
    for parent in (run for run in runs if run.data.tags.get("stage") == "pipeline"):
        reused = [
            by_id[value]
            for name, value in parent.data.tags.items()
            if name.startswith("reused.") and value in by_id
        ]
        own = [run for run in measured if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        if not own + reused:
            continue
        if any(
            "mlflow.parentRunId" not in run.data.tags and run.info.start_time > parent.info.start_time
            for run in measured
        ):
            break
        return own + reused
    latest: dict[str, Any] = {}
    for run in measured:
        latest.setdefault(run.data.tags["arm"], run)
    return list(latest.values())


def _is_measured(run: Any) -> bool:
    return "arm" in run.data.tags and any(name.startswith("accuracy_low/") for name in run.data.metrics)


def _rows(run: Any) -> Iterable[Row]:
    tags = run.data.tags
    sources: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in run.data.metrics.items():
        metric, _, source = name.rpartition("/")
        if source in SOURCES:
            sources[source][metric] = value
    for source, metrics in sources.items():
        if _ACCURACY in metrics:
            arm = {"generator": tags["generator"], "percent": int(tags["percent"]), "seed": int(tags["seed"])}
            yield {**arm, "source": source, **metrics, "run_id": run.info.run_id}


def to_text(rows: list[Row]) -> str:
    """Accuracies in percent with their 95 % intervals, one line per arm."""
    arms: dict[tuple[str, int, int], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        arms[row["generator"], row["percent"], row["seed"]][row["source"]] = row
    width = max(len("generator"), *(len(generator) for generator, _, _ in arms))
    head = f"{'generator':{width}}  real data  seed  " + "  ".join(f"{source:>21}" for source in SOURCES)
    lines = [head]
    for (generator, percent, seed), sources in arms.items():
        cells = "  ".join(f"{_cell(sources.get(source)):>21}" for source in SOURCES)
        lines.append(f"{generator:{width}}  {percent:>7} %  {seed:>4}  {cells}")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    low, high = row["accuracy_low"], row["accuracy_high"]
    return f"{100 * row[_ACCURACY]:.2f} [{100 * low:.2f}, {100 * high:.2f}]"


def plot(rows: list[Row], path: Path, dataset: str) -> None:
    """Write a PNG of accuracy, with intervals, by percentage of real data."""
    from matplotlib.figure import Figure

    figure = Figure((7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    generators = sorted({row["generator"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    for source in SOURCES:
        for index, generator in enumerate(generators[:1] if source == "real" else generators):
            label = source if source == "real" or len(generators) == 1 else f"{source}, {generator}"
            for seed in seeds:
                wanted = (source, generator, seed)
                line = [row for row in rows if (row["source"], row["generator"], row["seed"]) == wanted]
                if line:
                    axes.errorbar(
                        [row["percent"] for row in line],
                        [100 * row[_ACCURACY] for row in line],
                        [
                            [100 * (row[_ACCURACY] - row["accuracy_low"]) for row in line],
                            [100 * (row["accuracy_high"] - row[_ACCURACY]) for row in line],
                        ],
                        color=_COLOURS[source],
                        linestyle=_STYLES[index % len(_STYLES)],
                        marker="o",
                        capsize=3,
                        label=label if seed == seeds[0] else None,
                    )
    axes.set_xlabel("percentage of the real training data, %")
    axes.set_ylabel("accuracy on real test images, %")
    axes.set_xticks(sorted({row["percent"] for row in rows}))
    axes.set_title(f"{dataset}: classifiers by their training images (95 % intervals)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
