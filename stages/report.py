"""The stage: gather the metrics of the arms that params name, and write the tables and the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from labelmint.classifiers.settings import REAL_SOURCES, Classifier
from labelmint.data import settings as dataset_params
from labelmint.gans.settings import Synthesis
from labelmint.reporting import figures, records, replicates, tables
from labelmint.reporting.arms import Allowance, section
from labelmint.reporting.environment import environment
from labelmint.reporting.page import Page, render
from labelmint.reporting.verdict import headline, verdict
from labelmint.runtime.atomic_files import load_json, parsing, save_bytes, save_json, save_table
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import Tracker
from labelmint.training.settings import Training
from stages.paths import Arm, Paths


@dataclass(frozen=True)
class Params:
    dataset: dataset_params.Dataset
    generators: list[str]
    percents: list[int]
    seeds: list[int]
    training: Training
    synthesis: Synthesis
    classifier: Classifier


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    arms = [
        Arm(generator, percent, seed)
        for seed in params.seeds
        for generator in params.generators
        for percent in sorted(params.percents)
    ]
    metrics = {arm: load_json(layout.metrics(arm)) for arm in arms}
    rows, sections, folder, split = [], [], layout.reports, "test"
    allowed = Allowance.of(len(arms))
    for arm in arms:
        with parsing(layout.metrics(arm)):
            rows += _rows(layout, arm, metrics[arm]["rows"])
            sections.append(section(layout, arm, metrics[arm], allowed))
    with parsing(layout.tensors / "dataset.json"):
        n_test = int(load_json(layout.tensors / "dataset.json")["n_test"])
    if arms:
        with parsing(layout.metrics(arms[0])):
            split, n_test = metrics[arms[0]]["split"], int(metrics[arms[0]]["n_test"])
    save_table(folder / "results.csv", tables.COLUMNS, tables.to_table(rows))
    save_bytes(folder / "results.md", tables.to_markdown(rows).encode())
    save_json(folder / "summary.json", tables.to_summary(rows))

    page = Page(
        manifest=records.data(layout.tensors / "manifest.json") | {"n_test": n_test},
        split=split,
        headline=headline(rows),
        verdict=verdict(rows, n_test) if rows else [],
        rows=tables.ordered(rows),
        replicates=replicates.table(tables.ordered(rows)) if len(params.seeds) > 1 else [],
        accuracy=figures.accuracy(rows),
        controls=figures.controls(rows),
        sweep=figures.sweep(rows),
        plane=figures.plane(rows),
        arms=sections,
        protocol=metrics[arms[0]]["protocol"] if arms else {},
        environment=environment(layout.root),
        settings=asdict(params),
    )
    save_bytes(folder / "index.html", render(page).encode())
    for name in ("results.csv", "results.md", "index.html"):
        tracker.log_file(folder / name)
    for row in rows:
        if row["accuracy"] is not None:
            tracker.log_metrics({f"accuracy/{row['generator']}/{row['source']}": row["accuracy"]}, step=row["percent"])
    say(f"report: {folder / 'index.html'}")


def _rows(layout: Paths, arm: Arm, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With their training times. What the tables need is in each, or the file at fault could not be named later."""
    rows = [{**row, "seconds": seconds(layout, arm, row["source"])} for row in measured]
    tables.to_table(rows), tables.to_markdown(rows), tables.to_summary(rows), headline(rows)
    return rows


def seconds(layout: Paths, arm: Arm, source: str) -> float:
    """Training time behind one row: its classifier, and its generators where there are any."""
    if source in REAL_SOURCES:
        real = Arm("real", arm.percent, arm.seed)
        return load_json(layout.timing("train_baselines", real))[source]
    classifier = load_json(layout.timing("train_classifiers", arm)).get(source, 0.0)  # none, of images without labels
    return round(
        classifier + load_json(layout.timing("train_generators", arm))["seconds"],
        2,
    )
