"""Links in the copy of the project that an experiment of DVC runs in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.experiment_copy import link_inputs
from pipeline.project import project_of
from pipeline.settings import schema
from tests.conftest import ROOT


@pytest.fixture
def params():
    found = schema.load(ROOT / "experiments" / "default.yaml")
    return replace(found, dataset=replace(found.dataset, name="mine", format="imagefolder", path="photos"))


def test_raw_data_and_named_files_are_those_of_the_project(tmp_path, monkeypatch, params):
    project, copy = tmp_path / "project", tmp_path / "copy"
    (project / "photos").mkdir(parents=True)
    copy.mkdir()
    monkeypatch.setenv("DVC_STAGE", "prepare")
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert project_of(copy) == project
    link_inputs(copy, params)
    link_inputs(copy, params)
    assert (copy / "photos").resolve() == project / "photos"
    (copy / "data" / "raw" / "fetched").touch()
    assert (project / "data" / "raw" / "fetched").exists()


@pytest.mark.parametrize("variables", [{}, {"DVC_ROOT": "elsewhere"}])
def test_project_itself_gets_no_links(tmp_path, monkeypatch, params, variables):
    for name in ("DVC_STAGE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    link_inputs(tmp_path, params)
    assert list(tmp_path.iterdir()) == []
