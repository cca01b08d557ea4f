"""The record of the last run: its accuracies, and the settings, machine and code that gave them."""

from __future__ import annotations

import json
import shlex
import time
from collections import defaultdict
from importlib import metadata
from pathlib import Path

from benchmarks.results_parts.records import ChosenOn, Entry, Measured, Record
from labelmint.metrics.worth import Worth
from labelmint.reporting import worth
from labelmint.reporting.environment import environment
from labelmint.reporting.replicates import Group, Row, by_source
from labelmint.reporting.tables import read_results
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.devices import nvidia_gpus
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from pipeline.project import PARAMS_FILE
from pipeline.settings import experiments, last_results, schema
from stages.paths import Arm, Paths


def record(root: Path, title: str, chosen_on: ChosenOn, page: str | None, replaces: list[str]) -> Record:
    """Record of the results in reports/ and data/metrics/, made on the machine of the run.

    Raises: InputError if there are none, if they do not belong together, or if they are a first look.
    """
    params = schema.load(root / PARAMS_FILE)
    if params.first_look:
        raise InputError(f"{root / PARAMS_FILE}: first_look is true, so no number of this run is a result")
    if not last_results.is_current(root):
        raise InputError(
            f"{root / PARAMS_FILE}: the last results have other settings; run `make repro` again"
        )
    found = environment(root)
    on_gpu = params.compute.device != "cpu" and nvidia_gpus()
    return Record(
        title=title,
        date=time.strftime("%Y-%m-%d"),
        command=_command(root),
        machine=found["GPU" if on_gpu else "CPU"],
        torch=metadata.version("torch"),
        code=found["code"],
        chosen_on=chosen_on,
        entries=_entries(root, params.classifier.network),
        page=page,
        replaces=replaces,
    )


def _command(root: Path) -> str:
    """Commands that repeat the run: its experiments, with the settings that differ from theirs."""
    choice = experiments.in_use(root)
    original = flat(schema.parse(experiments.rendered(root, choice)))
    changed = [
        f"{name}={json.dumps(value)}"
        for name, value in flat(schema.read(root / PARAMS_FILE)).items()
        if value != original.get(name)
    ]
    words = ["labelmint", "use", *(["--quick"] if choice.quick else []), *(choice.names or ["default"])]
    for each in changed:
        words += ["-S", each]
    return f"{shlex.join(words)} && dvc repro"


def _entries(root: Path, network: str) -> list[Entry]:
    paths = Paths(root)
    table = paths.reports / "results.csv"
    if not table.exists():
        raise InputError(f"{table} is missing; `make repro` creates it")
    published = read_results(table)
    arms = dict.fromkeys(Arm(row["generator"], row["percent"], row["seed"]) for row in published)
    metrics = [load_json(paths.metrics(arm)) for arm in arms]
    rows = [row for content in metrics for row in content["rows"]]
    _require_same(table, published, rows)
    groups: dict[tuple[str, int], dict[str, Group]] = defaultdict(dict)
    for (generator, percent, source), group in by_source(rows).items():
        groups[generator, percent][source] = group
    if not groups:
        raise InputError(f"{table}: no accuracies, since these images have no labels")
    values = worth.published(published)
    found = []
    for (generator, percent), by_name in groups.items():
        classifiers = next(iter(by_name.values())).rows
        sources = {
            source: _measured(group, values.get((generator, percent, source)))
            for source, group in by_name.items()
        }
        entry = Entry(
            dataset=classifiers[0]["dataset"],
            percent=percent,
            generator=generator,
            network=network,
            steps=classifiers[0]["steps"],
            seeds=len(classifiers),
            split=metrics[0]["split"],
            test_images=metrics[0]["n_test"],
            sources=sources,
        )
        found.append(entry)
    return found


def _require_same(table: Path, published: list[Row], rows: list[Row]) -> None:
    """Raises: InputError if results.csv is of another evaluation than the rows of data/metrics."""
    for row in published:
        if row["accuracy"] is None:  # images without labels have no classifier
            continue
        if not any(worth.is_published(own, row) for own in rows):
            arm = Arm(row["generator"], row["percent"], row["seed"]).name
            raise InputError(
                f"{table}: {arm} is not what data/metrics/{arm}.json has; run `make repro` again"
            )


def _measured(group: Group, value: Worth | None) -> Measured:
    found, row = group.accuracy, group.rows[0]
    accuracy, low, high = (round(value, 6) for value in (found.value, found.low, found.high))
    return Measured(accuracy, low, high, row["n_real"], row["n_synthetic"], value)
