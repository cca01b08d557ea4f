"""Every row of the table of error messages is run, and the docs show the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline import stage
from tests.command import labelmint
from tests.conftest import ROOT
from tests.integration.fuzz import error_table


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the project's experiments and default settings, but no data."""
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copy(ROOT / "experiments" / "default.yaml", tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    return tmp_path


def files(project: Path) -> set[Path]:
    """All files but the lock, which a command keeps."""
    return {path for path in project.rglob("*") if path.is_file() and path.name != "labelmint.lock"}


@pytest.mark.parametrize("row", error_table.ROWS, ids=lambda row: row.title)
def test_row(project, capsys, row):
    row.arrange(project)
    before = files(project)
    program, *arguments = row.command.split()
    if program == "stage":
        code, stderr = stage.main(arguments), capsys.readouterr().err
    else:
        code, _, stderr = labelmint(project, *arguments)
    last = stderr.strip().splitlines()[-1].replace(f"{project}/", "")
    assert code == row.code, stderr
    assert row.matches(last.removeprefix("error: ")), last
    assert "Traceback" not in stderr
    assert files(project) == before, "a file was left behind"


def test_the_docs_show_this_table():
    text = (ROOT / "docs" / "operations.md").read_text()
    shown = text[text.index(error_table.FIRST) : text.index(error_table.LAST) + len(error_table.LAST)]
    assert shown == error_table.markdown(), "write it again: python -m tests.integration.fuzz.error_table"
