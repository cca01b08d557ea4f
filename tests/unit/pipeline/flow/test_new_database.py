"""Prefect's database without content, for a new project."""

from __future__ import annotations

import sys

import pytest

from pipeline.flow import new_database


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Prefect's folder; the environment is the folder above it."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_new_project_gets_that_of_the_environment(home):
    (home.parent / "prefect.db").write_bytes(b"new")
    new_database.copy_to(home)
    assert [path.name for path in home.iterdir()] == ["prefect.db"]
    assert (home / "prefect.db").read_bytes() == b"new"


def test_a_database_with_content_is_kept(home):
    (home.parent / "prefect.db").write_bytes(b"new")
    (home / "prefect.db").write_bytes(b"runs")
    new_database.copy_to(home)
    assert (home / "prefect.db").read_bytes() == b"runs"


def test_without_one_prefect_creates_its_own(home):
    new_database.copy_to(home)
    assert not list(home.iterdir())
