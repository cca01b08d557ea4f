"""The results on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipeline.cli import result_table
from tests.unit.labelmint.reporting.rows import row


def printed(rows: list[dict[str, object]], width: int = 80) -> list[str]:
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(result_table.build(rows))
    return [line.rstrip() for line in buffer.getvalue().splitlines() if line.strip(" ─")]


ROWS = [
    row("real", 0.98),
    row("synthetic", 0.955, difference=-0.025),
    row("mixed", 0.985, difference=0.005),
    {**row("synthetic", 0.9), "accuracy": None},
]


def test_a_line_for_each_classifier_fits_80_columns():
    lines = printed(ROWS)
    assert len(lines) == 1 + len(ROWS)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["arm", "trained", "on", "accuracy", "%", "minus", "real"]
    assert " ".join(lines[1].split()) == "dcgan 40 % real 98.00 [97.00, 99.00]"
    assert " ".join(lines[2].split()) == "dcgan 40 % synthetic 95.50 [94.50, 96.50] -2.50 ± 1.00"
    assert " ".join(lines[4].split()) == "dcgan 40 % synthetic no labels"


@pytest.mark.parametrize("name", ["projection_cgan", "attribute_cgan"])
def test_long_names_fit_too(name):
    lines = printed([{**row("synthetic_fresh", 0.9, 100), "generator": name}])
    assert len(lines) == 2 and max(map(len, lines)) <= 80


def test_replicates_are_told_apart():
    lines = printed([row("real", 0.98), {**row("real", 0.97), "seed": 1}])
    assert [line.split()[:4] for line in lines[1:]] == [
        ["dcgan", "40", "%", "#0"],
        ["dcgan", "40", "%", "#1"],
    ]
