"""Accuracies of a classifier in training, and which of them each protocol reports."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import arms, chosen_on_test
from benchmarks.chosen_on_test import Subject
from stages.paths import Arm, Paths

TINY: arms.Changes = {
    "dataset": {"images_per_class": 12, "validation_percent": 20},
    "training": {"epochs": 1, "images_per_epoch": 16, "batch_size": 8},
    "synthesis": {"images_per_class": 6},
    "classifier": {"network": "small_cnn", "steps": 6, "evaluations": 3, "simple_classifiers": []},
}


def row(source: str, **values: float) -> dict[str, Any]:
    return {"source": source, "deviation": 1.0, "threshold": 0.0, "step": 1, **values}


ROWS = [
    row("real", held_out=0.9, validation=0.9, test=0.8),
    row("synthetic", held_out=0.9, validation=0.5, test=0.6),
    row("synthetic", held_out=0.8, validation=0.6, test=0.5, step=2),
    row("synthetic", held_out=0.7, validation=0.7, test=0.4, deviation=1.2),
    row("synthetic", held_out=0.99, validation=0.4, test=0.7, threshold=0.5),
]


@pytest.mark.parametrize(("chosen_on", "accuracy"), [("nothing", 0.6), ("validation", 0.4), ("test", 0.7)])
def test_each_protocol_reports_the_test_accuracy_of_its_choice(chosen_on, accuracy):
    assert chosen_on_test.reported(ROWS[1:], chosen_on)["test"] == accuracy


def test_table_has_a_row_per_protocol():
    lines = chosen_on_test.table(ROWS, 100).splitlines()
    assert len(lines) == 5
    assert lines[4] == "| test | 80.00 [71.12, 86.66] | 70.00 [60.42, 78.11] | -10.00 | 1 | 0.5 | 1 |"


def test_classifier_is_tested_at_each_evaluation(tmp_path):
    paths, arm = Paths(tmp_path), Arm("dcgan", 100, 0)
    for stage, of in (("prepare", None), ("train_baselines", Arm("real", 100, 0)), ("train_generators", arm)):
        arms.run_stage(paths, stage, of, (TINY,))
    subjects = Subject("real"), Subject("synthetic", 1.2, 0.9)
    for subject in subjects:
        rows = chosen_on_test.measure(paths, arm, TINY, subject)
        assert [row["step"] for row in rows] == [2, 4, 6]
        assert {(row["source"], row["deviation"], row["threshold"]) for row in rows} == {
            (subject.source, subject.deviation, subject.threshold)
        }
        assert all(0 <= row[name] <= 1 for row in rows for name in ("held_out", "validation", "test"))
