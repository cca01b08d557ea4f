"""Metrics that are JSON, and not what `evaluate` writes: the report names the file."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths


def _without(name):
    return lambda content: content.pop(name)


def _rows(change):
    return lambda content: [change(row) for row in content["rows"]]


@pytest.mark.parametrize(
    "change",
    [
        _without("rows"),
        _without("nearest"),
        _without("classes"),
        lambda content: content.update(rows="three"),
        lambda content: content.update(rows=[7]),
        _rows(lambda row: row.pop("accuracy")),
        _rows(lambda row: row.update(accuracy="high")),
        _rows(lambda row: row.update(source="elsewhere")),
    ],
    ids=["rows", "nearest", "classes", "text", "numbers", "accuracy", "high", "source"],
)
def test_a_file_that_lacks_something_is_named(params, workspace, tmp_path, change):
    shutil.copytree(workspace.root, tmp_path / "copy", ignore=shutil.ignore_patterns("reports", ".checkpoints"))
    layout = Paths(tmp_path / "copy")
    path = layout.metrics(Arm("dcgan", 100, 0))
    content = load_json(path)
    change(content)
    save_json(path, content)
    report = entry("report")
    with pytest.raises(InputError) as raised:
        report.run(select(report.Params, replace(params, percents=[100]), None), layout, NullTracker())
    assert str(raised.value).startswith(f"{path}: not what a stage of this version writes (")
    assert not layout.reports.exists()  # nothing half done


@pytest.mark.parametrize("content", [{}, {"n_test": "many"}, []])
def test_so_is_the_description_of_the_data(params, workspace, tmp_path, content):
    shutil.copytree(workspace.root, tmp_path / "copy", ignore=shutil.ignore_patterns("reports", ".checkpoints"))
    layout, report = Paths(tmp_path / "copy"), entry("report")
    save_json(layout.tensors / "dataset.json", content)
    with pytest.raises(InputError, match=r"dataset\.json: "):
        report.run(select(report.Params, replace(params, percents=[100]), None), layout, NullTracker())
