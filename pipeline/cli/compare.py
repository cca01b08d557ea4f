"""`labelmint compare`: fractions side by side, read from MLflow alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError

SOURCES = ("real", "synthetic", "mixed")
_MOST_RUNS = 5000
_ACCURACY = "accuracy"

Row = dict[str, Any]


def collect(root: Path, dataset: str) -> list[Row]:
    """One row per arm and source: generator, percent, seed, source, the measures, and run_id.

    Of the last pipeline run, with what it reused from earlier ones; where runs of plain `dvc repro` are newer, the newest of
    each arm. Raises: InputError when MLflow knows no results; ConnectionError in one line when MLflow cannot be read.
    """
    from pipeline.tracking.address import experiment_name, own_store, public_uri, tracking_uri, without_credentials

    uri, name = public_uri(root), experiment_name(dataset)
    absent = InputError(f"no results of {dataset} in MLflow at {uri}, experiment {name}; `labelmint run` or `dvc repro` makes some, `labelmint sync` ships what waits")  # fmt: skip
    if tracking_uri(root) == f"sqlite:///{own_store(root)}" and not own_store(root).exists():
        raise absent  # at once: MLflow would make a database, for seconds, to find nothing in it
    from pipeline.tracking.store import Store

    try:
        client = Store(root).client
        experiment = client.get_experiment_by_name(name)
        runs = _search(client, experiment.experiment_id) if experiment else []
    except Exception as error:  # MLflow's clients raise many kinds
        raise ConnectionError(f"{uri}: {without_credentials(root, error)}") from error
    chosen = _choose(runs)
    if not chosen:
        raise absent
    rows = [row for run in chosen for row in _rows(run)]
    return sorted(rows, key=lambda row: (row["generator"], row["seed"], row["percent"], SOURCES.index(row["source"])))


def _search(client: Any, experiment: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while len(found) < _MOST_RUNS:
        page = client.search_runs(
            [experiment], order_by=["attributes.start_time DESC"], max_results=500, page_token=token
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _choose(runs: list[Any]) -> list[Any]:
    """runs: newest first."""
    measured = [run for run in runs if _measured(run) and run.info.status == "FINISHED"]
    by_id = {run.info.run_id: run for run in measured}
    for parent in (run for run in runs if run.data.tags.get("stage") == "pipeline"):
        reused = [
            by_id[value] for name, value in parent.data.tags.items() if name.startswith("reused.") and value in by_id
        ]
        own = [run for run in measured if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        if not own + reused:
            continue
        newer = [run for run in measured if "mlflow.parentRunId" not in run.data.tags and run.info.start_time > parent.info.start_time]  # fmt: skip
        if newer:
            break
        return own + reused
    newest: dict[str, Any] = {}
    for run in measured:
        newest.setdefault(run.data.tags["arm"], run)
    return list(newest.values())


def _measured(run: Any) -> bool:
    return "arm" in run.data.tags and any(name.startswith("accuracy_low/") for name in run.data.metrics)


def _rows(run: Any) -> Iterable[Row]:
    tags = run.data.tags
    sources: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in run.data.metrics.items():
        measure, _, source = name.rpartition("/")
        if source in SOURCES:
            sources[source][measure] = value
    for source, measures in sources.items():
        if _ACCURACY in measures:
            arm = {"generator": tags["generator"], "percent": int(tags["percent"]), "seed": int(tags["seed"])}
            yield {**arm, "source": source, **measures, "run_id": run.info.run_id}


def to_text(rows: list[Row]) -> str:
    """Accuracy in percent with its 95 % interval; one line an arm."""
    arms: dict[tuple[str, int, int], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        arms[row["generator"], row["percent"], row["seed"]][row["source"]] = row
    width = max(len("generator"), *(len(generator) for generator, _, _ in arms))
    head = f"{'generator':{width}}  real data  seed  " + "  ".join(f"{source:>21}" for source in SOURCES)
    lines = [head]
    for (generator, percent, seed), sources in arms.items():
        cells = [_cell(sources.get(source)) for source in SOURCES]
        lines.append(f"{generator:{width}}  {percent:>7} %  {seed:>4}  " + "  ".join(f"{cell:>21}" for cell in cells))
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    return "{:.2f} [{:.2f}, {:.2f}]".format(*(100 * row[name] for name in (_ACCURACY, "accuracy_low", "accuracy_high")))


def plot(rows: list[Row], path: Path, dataset: str) -> None:
    """PNG: accuracy against the share of real data, with intervals; a line per source, or per generator and source."""
    from matplotlib.figure import Figure

    figure = Figure((7, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    generators = sorted({row["generator"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    colours = {"real": "#555555", "synthetic": "#c8553d", "mixed": "#2a7f9e"}
    styles = ["-", "--", ":", "-."]
    for source in SOURCES:
        for place, generator in enumerate(generators[:1] if source == "real" else generators):
            for seed in seeds:
                line = [
                    row for row in rows if (row["source"], row["generator"], row["seed"]) == (source, generator, seed)
                ]
                if not line:
                    continue
                middle = [100 * row[_ACCURACY] for row in line]
                below = [100 * (row[_ACCURACY] - row["accuracy_low"]) for row in line]
                above = [100 * (row["accuracy_high"] - row[_ACCURACY]) for row in line]
                label = source if source == "real" or len(generators) == 1 else f"{source}, {generator}"
                style = styles[place % len(styles)]
                percents = [row["percent"] for row in line]
                axes.errorbar(percents, middle, [below, above], color=colours[source], linestyle=style, marker="o", capsize=3, label=label if seed == seeds[0] else None)  # fmt: skip
    axes.set_xlabel("share of the real training data, %")
    axes.set_ylabel("accuracy on real test images, %")
    axes.set_xticks(sorted({row["percent"] for row in rows}))
    axes.set_title(f"{dataset}: what the classifier was trained on (95 % intervals)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
