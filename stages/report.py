"""Stage report: gather the metrics of the arms that params.yaml names, and write the tables and the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.sources import parse
from labelmint.data.settings import Dataset
from labelmint.data.storage.tensors import load_set
from labelmint.gans.settings import Synthesis
from labelmint.reporting import figures, records, replicates, sanity, tables, worth
from labelmint.reporting.arms import ArmFiles, Budget, section
from labelmint.reporting.environment import environment
from labelmint.reporting.page import Page, render
from labelmint.reporting.verdict import headline, verdict
from labelmint.runtime.atomic_files import load_json, parsing, save_bytes, save_json, save_table
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import Tracker
from labelmint.training.settings import Training
from stages.paths import Arm, Paths

_FILES = ("results.csv", "results.md", "index.html")


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    dataset: Dataset
    generators: list[str]
    percents: list[int]
    seeds: list[int]
    first_look: bool
    training: Training
    synthesis: Synthesis
    classifier: Classifier


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write reports/. Raises: InputError that names a metrics file that is missing or damaged."""
    arms = [
        Arm(generator, percent, seed)
        for seed in params.seeds
        for generator in params.generators
        for percent in sorted(params.percents)
    ]
    metrics = {arm: load_json(paths.metrics(arm)) for arm in arms}
    rows, sections, trained_on, budget = [], [], [], Budget.of(len(arms))
    training_set = load_set(paths.tensors)
    for arm in arms:
        with parsing(paths.metrics(arm)):
            rows += _rows(paths, arm, metrics[arm]["rows"])
            sections.append(section(_files(paths, arm), training_set, metrics[arm], budget))
            trained_on.append(metrics[arm]["n_feature_network"])
    split, n_test = _test_images(paths, arms, metrics)
    values = worth.valued(rows)
    rows = [row | values.columns(row) for row in rows]
    folder = paths.reports
    save_table(folder / "results.csv", tables.columns(), tables.to_table(rows))
    manifest = records.data(paths.tensors / "manifest.json") | {"n_test": n_test}
    unhealthy = {arm.name: each["unhealthy"] for arm, each in zip(arms, sections, strict=True)}
    doubts = sanity.doubts(
        rows, first_look=params.first_look, n_train=min(trained_on, default=None), unhealthy=unhealthy
    )
    answer, conclusions = headline(rows, doubts), verdict(rows, n_test, values.of) if rows else []
    save_bytes(folder / "results.md", tables.to_markdown(rows, doubts, [answer, *conclusions[-1:]]).encode())
    save_json(folder / "summary.json", tables.to_summary(rows) | {"warnings": len(doubts)})

    ordered = tables.ordered(rows)
    page = Page(
        manifest=manifest,
        split=split,
        headline=answer,
        doubts=doubts,
        verdict=conclusions,
        rows=ordered,
        replicates=replicates.table(ordered) if len(params.seeds) > 1 else [],
        similarity=tables.similarity_metrics(rows),
        accuracy=figures.accuracy(rows),
        controls=figures.controls(rows),
        sweep=figures.sweep(rows),
        worth=figures.worth(rows, values),
        plane=figures.plane(rows),
        arms=sections,
        protocol=metrics[arms[0]]["protocol"] if arms else {},
        environment=environment(paths.root),
        run_page=tracker.page(),
        settings=asdict(params),
    )
    save_bytes(folder / "index.html", render(page).encode())
    for name in _FILES:
        tracker.log_file(folder / name)
    for row in rows:
        if row["accuracy"] is not None:
            name = f"accuracy/{row['generator']}/{row['source']}"
            tracker.log_metrics({name: row["accuracy"]}, step=row["percent"])
    say(f"report: {folder / 'index.html'}")


def _files(paths: Paths, arm: Arm) -> ArmFiles:
    return ArmFiles(
        arm.generator,
        arm.percent,
        arm.seed,
        metrics=paths.metrics(arm),
        generator_folder=paths.generator(arm),
        synthetic_folder=paths.synthetic(arm),
        latent_space_folder=paths.latent_space(arm),
    )


def _test_images(paths: Paths, arms: list[Arm], metrics: dict[Arm, Any]) -> tuple[str, int]:
    """Split that everything was evaluated on, and its number of images."""
    with parsing(paths.tensors / "dataset.json"):
        n_test = int(load_json(paths.tensors / "dataset.json")["n_test"])
    if not arms:
        return "test", n_test
    with parsing(paths.metrics(arms[0])):
        return metrics[arms[0]]["split"], int(metrics[arms[0]]["n_test"])


def _rows(paths: Paths, arm: Arm, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one arm, with training times.

    Builds each table once, so that a value that a table lacks is reported with the name of this arm's file.
    """
    rows = [{**row, "seconds": _training_seconds(paths, arm, row["source"])} for row in measured]
    for build in (tables.to_table, tables.to_markdown, tables.to_summary, headline, worth.curve_points):
        build(rows)
    return rows


def _training_seconds(paths: Paths, arm: Arm, source: str) -> float:
    """Training time of a row's classifier and, if the row has synthetic images, of its generators."""
    if parse(source).of_baseline:
        baseline = Arm("real", arm.percent, arm.seed)
        return float(load_json(paths.timing("train_baselines", baseline))[source])
    # Images without labels have no classifier.
    classifier = float(load_json(paths.timing("train_classifiers", arm)).get(source, 0.0))
    if parse(source).origin == "real":
        return classifier
    generators = float(load_json(paths.timing("train_generators", arm))["seconds"])
    return round(classifier + generators, 2)
