"""The stage: gather the metrics of the arms that params name, and write the tables and the page."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.prepare import params as dataset_params
from stages.prepare.files import load_json, save_bytes, save_json, save_table
from stages.prepare.layout import Arm, Layout
from stages.prepare.tensors import load_set
from stages.prepare.tracker import Tracker, say
from stages.report import figures, replicates, sheets, tables
from stages.report.page import Page, render
from stages.report.verdict import verdict
from stages.synthesize.params import Synthesis
from stages.train_classifiers.params import REAL_SOURCES, Classifier
from stages.train_generators.params import Training

_PER_CLASS = {"kid_per_class": "KID", "frechet_per_class": "Fréchet", "diversity_per_class": "diversity"}


@dataclass(frozen=True)
class Params:
    dataset: dataset_params.Dataset
    generators: list[str]
    percents: list[int]
    seeds: list[int]
    training: Training
    synthesis: Synthesis
    classifier: Classifier


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    arms = [
        Arm(generator, percent, seed)
        for seed in params.seeds
        for generator in params.generators
        for percent in sorted(params.percents)
    ]
    metrics = {arm: load_json(layout.metrics(arm)) for arm in arms}
    rows = [{**row, "seconds": seconds(layout, arm, row["source"])} for arm in arms for row in metrics[arm]["rows"]]
    folder = layout.reports
    save_table(folder / "results.csv", tables.COLUMNS, tables.to_table(rows))
    save_bytes(folder / "results.md", tables.to_markdown(rows).encode())
    save_json(folder / "summary.json", tables.to_summary(rows))

    manifest = load_json(layout.tensors / "manifest.json")
    images, labels = load_set(layout.tensors)
    page = Page(
        manifest=manifest,
        verdict=verdict(rows, manifest["n_test"]) if rows else ["No arm to compare: params.yaml names no generator."],
        rows=tables.ordered(rows),
        replicates=replicates.table(tables.ordered(rows)) if len(params.seeds) > 1 else [],
        accuracy_plot=figures.accuracy_plot(rows) if rows else "",
        sweep_plot=figures.sweep_plot(rows) if rows else "",
        real_samples=sheets.of(np.asarray(images), labels, manifest["classes"]),
        arms=[arm_section(layout, arm, metrics[arm]) for arm in arms],
        protocol=metrics[arms[0]]["protocol"] if arms else {},
        settings=asdict(params),
    )
    save_bytes(folder / "index.html", render(page).encode())
    for name in ("results.csv", "results.md", "index.html"):
        tracker.log_file(folder / name)
    for row in rows:
        if row["accuracy"] is not None:
            tracker.log_metrics({f"accuracy/{row['generator']}/{row['source']}": row["accuracy"]}, step=row["percent"])
    say(f"report: {folder / 'index.html'}")


def seconds(layout: Layout, arm: Arm, source: str) -> float:
    """Training time behind one row: its classifier, and its generators where there are any."""
    if source in REAL_SOURCES:
        real = Arm("real", arm.percent, arm.seed)
        return load_json(layout.timing("train_baselines", real))[source]
    classifier = load_json(layout.timing("train_classifiers", arm)).get(source, 0.0)  # none, of images without labels
    return round(
        classifier + load_json(layout.timing("train_generators", arm))["seconds"],
        2,
    )


def arm_section(layout: Layout, arm: Arm, metrics: dict[str, Any]) -> dict[str, Any]:
    folder, classes, rows = layout.generator(arm), metrics["classes"], metrics["rows"]
    minted, minted_labels = load_set(layout.synthetic(arm))
    training_images, _ = load_set(layout.tensors)
    by_class = {row["source"]: row["recalls"] for row in rows if row.get("recalls")}
    if metrics["gan_test"]:
        by_class["GAN-test"] = metrics["gan_test"]["recalls"]
    with (folder / "training.csv").open(newline="") as file:
        training = list(csv.DictReader(file))
    last = {row["class"]: row for row in training}  # rows are in order: of each class, its last attempt's last epoch
    training = [row for row in training if row["attempt"] == last[row["class"]]["attempt"]]
    return {
        "arm": arm,
        "unwell": [(name, row["health"]) for name, row in last.items() if row["health"] != "ok"],
        "restarts": [(name, int(row["attempt"])) for name, row in last.items() if row["attempt"] != "0"],
        "samples": sheets.of(np.asarray(minted), minted_labels, classes),
        "progress": figures.data_uri((folder / "progress.gif").read_bytes(), "gif"),
        "training_plot": figures.training_plot(training),
        "confusions": [
            (row["source"], figures.confusion_plot(row["confusion"], classes)) for row in rows if row.get("confusion")
        ],
        "attributes": [(row["source"], row["attributes"]) for row in rows if row.get("attributes")],
        "recalls": by_class,
        "per_class": {
            f"{title}, {row['source']}": row[name]
            for name, title in _PER_CLASS.items()
            for row in rows
            if row.get(name)
        },
        "nearest": [
            (space, kind, sheets.pairs(minted, training_images, found))
            for space, kinds in metrics["nearest"].items()
            for kind, found in kinds.items()
        ],
        "fairness": metrics["fairness"],
        "representation": metrics["representation"],
        "latent_space": latent_section(layout, arm, metrics["latent_space"]),
        "classes": classes,
        "kind": metrics["minted_labels"],
        "gan_test": metrics["gan_test"]["accuracy"] if metrics["gan_test"] else None,
    }


def latent_section(layout: Layout, arm: Arm, told: dict[str, Any]) -> dict[str, Any]:
    """Pictures as data: sheets by name with their rows, and each sum of concepts with what it reached."""

    def picture(name: str) -> str:
        return figures.data_uri((layout.latent_space(arm) / f"{name}.png").read_bytes(), "png")

    return {
        "sheets": {name: (picture(name), rows) for name, rows in told["rows"].items()},
        "sums": [(picture(f"arithmetic-{number}"), each) for number, each in enumerate(told["arithmetic"])],
        "absent": told["absent"],
    }
