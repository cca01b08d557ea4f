"""A run is recorded, and the record changes table and picture once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.results_parts import index, recording, records
from benchmarks.results_parts.records import Record
from labelmint.metrics.worth import Worth
from labelmint.reporting import tables
from labelmint.reporting.replicates import by_source
from labelmint.runtime.atomic_files import load_json, save_table
from labelmint.runtime.errors import InputError
from pipeline.settings import experiments, schema
from pipeline.settings.experiments import Choice
from stages.paths import Arm, Paths
from tests import random_arms

CLASSES = ["3", "5"]
WORTH = {"worth": 55.5, "worth_low": 44.4, "worth_high": 66.6}


@pytest.fixture
def run(checkout: Path) -> Path:
    """A project with the results of two arms, each of two seeds; of synthetic images a worth is known."""
    own = {"percents": [40, 100], "seeds": [0, 1], "compute": {"device": "cpu"}}
    experiments.use(checkout, Choice(()), own)
    random_arms.report(checkout, schema.load(checkout / "params.yaml"), CLASSES)
    table = Paths(checkout).reports / "results.csv"
    rows = [row | (WORTH if row["source"] == "synthetic" else {}) for row in tables.read_results(table)]
    save_table(table, tables.columns(), rows)
    return checkout


def recorded(root: Path) -> Record:
    return recording.record(root, "a trial", "nothing", None, [])


def test_a_record_has_the_numbers_of_the_run(run):
    found = recorded(run)
    assert found.command == (
        "labelmint use default -S 'percents=[40, 100]' -S 'seeds=[0, 1]' "
        "-S 'compute.device=\"cpu\"' && dvc repro"
    )
    assert "core" in found.machine and found.chosen_on == "nothing"
    assert [(each.dataset, each.percent, each.generator) for each in found.entries] == [
        *(("noise", 40, "dcgan"), ("noise", 100, "dcgan"))
    ]
    entry = found.entries[0]
    assert (entry.seeds, entry.test_images, entry.steps, entry.split) == (2, 80, 10, "test")
    assert list(entry.sources) == ["real", "synthetic", "mixed"]
    arms = [Paths(run).metrics(Arm("dcgan", 40, seed)) for seed in (0, 1)]
    expected = by_source([row for path in arms for row in load_json(path)["rows"]])
    estimate, synthetic = expected["dcgan", 40, "synthetic"].accuracy, entry.sources["synthetic"]
    assert (synthetic.accuracy, synthetic.low, synthetic.high) == pytest.approx(
        (estimate.value, estimate.low, estimate.high), abs=1e-6
    )
    assert synthetic.worth == Worth(55.5, 44.4, 66.6, smallest=40, largest=100)
    assert entry.sources["mixed"].worth is None


def test_a_record_changes_the_index_once(run, tmp_path):
    folder = tmp_path / "results"
    records.save(records.path_of(folder, "trial"), recorded(run))
    (folder / "README.md").write_text(f"Before.\n{index.BEGIN}old\n{index.END}\nAfter.\n", encoding="utf-8")
    assert results.write_index(folder) == ["README.md", "headline.png"]
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    assert text.count("(trial.json) |") == 2 and "| 56 [44, 67] |" in text
    assert (folder / "headline.png").read_bytes().startswith(b"\x89PNG")
    assert results.write_index(folder) == []
    shown = records.load_all(folder)["trial"]
    (folder / "trial.json").unlink()
    records.save(folder / "trial.json", replace(shown, entries=shown.entries[:1]))
    assert results.write_index(folder) == ["README.md", "headline.png"]


def test_results_that_do_not_belong_together_are_not_recorded(run):
    Paths(run).metrics(Arm("dcgan", 40, 1)).write_bytes(Paths(run).metrics(Arm("dcgan", 100, 1)).read_bytes())
    with pytest.raises(InputError, match=r"results\.csv: dcgan-40-1 is not what data/metrics"):
        recorded(run)


def test_a_first_look_is_not_recorded(checkout):
    experiments.use(checkout, Choice(()), {"first_look": True})
    with pytest.raises(InputError, match="no number of this run is a result"):
        recorded(checkout)


def test_without_results_the_command_that_makes_them_is_named(checkout):
    with pytest.raises(InputError, match=r"results\.csv is missing; `make repro` creates it"):
        recorded(checkout)
