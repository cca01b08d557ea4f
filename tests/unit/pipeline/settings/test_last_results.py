"""The last results of experiments, and the list that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.settings import experiments, last_results
from pipeline.settings.experiments import Choice

ACCURACIES = {"accuracy_real": 0.98, "accuracy_synthetic": 0.912, "frechet_synthetic": 1.5}


def finish(project: Path, arms: dict[str, Any]) -> None:
    """As the stage report does."""
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports" / "summary.json").write_text(json.dumps(arms))
    last_results.record(project)


def test_results_are_kept_by_experiment_and_size(checkout):
    for path in (checkout / "experiments").glob("*.yaml"):
        if path.stem not in ("default", "cgan_mnist"):  # the list reads every file
            path.unlink()
    experiments.use(checkout, Choice(("cgan_mnist",), quick=True))
    finish(checkout, {"cgan-100-0": ACCURACIES})
    found = last_results.last_result(checkout, Choice(("cgan_mnist",), quick=True))
    assert found.endswith(": cgan-100-0: synthetic 91.2 %, real 98.0 %, Fréchet 1.50")
    assert last_results.last_result(checkout, Choice(("cgan_mnist",))) == ""
    (row,) = [row for row in json.loads(last_results.to_json(checkout)) if row["name"] == "cgan_mnist"]
    assert row["last_result"] == {"full run": None, "quick run": found}
    assert row["source"] == "fairness internship, table 3"
    lines = last_results.to_text(checkout).splitlines()
    assert any("last quick run: " in line and "91.2 %" in line for line in lines)


def test_results_of_the_users_own_settings_are_not_kept(checkout):
    experiments.use(checkout, Choice(("cgan_mnist",)))
    path = checkout / "params.yaml"
    path.write_text(path.read_text().replace("epochs: 12", "epochs: 13"))
    finish(checkout, {"cgan-100-0": ACCURACIES})
    assert not (checkout / ".results").exists()


def test_a_generator_without_labels_has_a_distance_only(checkout):
    finish(checkout, {"dcgan-100-0": {"accuracy_real": 0.98, "frechet_synthetic": 2.0}})
    found = last_results.last_result(checkout, Choice(()))
    assert found.endswith(": dcgan-100-0: real 98.0 %, Fréchet 2.00")


def test_names_three_arms_and_counts_the_others(checkout):
    finish(checkout, {f"dcgan-{percent}-0": ACCURACIES for percent in (20, 40, 60, 80, 100)})
    found = last_results.last_result(checkout, Choice(()))
    assert found.endswith(" and 2 more arms")
    assert found.count("dcgan") == 3


def test_a_report_of_other_percents_is_not_the_experiments_result(checkout):
    """As after `labelmint run --percents 40`, which takes the percents back."""
    assert last_results.is_current(checkout)
    lock = "stages: {report: {params: {params.yaml: {percents: %s}}}}\n"
    (checkout / "dvc.lock").write_text(lock % [40])
    assert not last_results.is_current(checkout)
    (checkout / "dvc.lock").write_text(lock % [40, 60, 80, 100])
    assert last_results.is_current(checkout)
