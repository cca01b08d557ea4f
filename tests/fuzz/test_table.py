"""Each row of the table is run; the docs show the very same table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import stage
from tests.conftest import ROOT
from tests.fuzz import table
from tests.fuzz.test_settings import called


@pytest.fixture
def project(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copy(ROOT / "experiments" / "default.yaml", tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    return tmp_path


def files(project: Path) -> set[Path]:
    """All but the lock that a command held."""
    return {path for path in project.rglob("*") if path.is_file() and path.name != "labelmint.lock"}


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.title)
def test_row(project, capsys, row):
    row.arrange(project)
    before = files(project)
    program, *arguments = row.command.split()
    if program == "stage":
        code, said = stage.main(arguments), capsys.readouterr().err
    else:
        code, _, said = called(project, arguments)
    last = said.strip().splitlines()[-1].replace(f"{project}/", "")
    assert (code, row.matches(last.removeprefix("error: "))) == (row.code, True), last
    assert "Traceback" not in said
    assert files(project) == before  # nothing half done is left behind


def test_the_docs_show_this_table():
    text = (ROOT / "docs" / "operations.md").read_text()
    shown = text[text.index(table.FIRST) : text.index(table.LAST) + len(table.LAST)]
    assert shown == table.markdown(), "write it anew: python -m tests.fuzz.table"
