"""Answers of git, and why it gives none."""

from __future__ import annotations

import subprocess

import pytest

from labelmint.runtime.git import GitError, git
from pipeline.tracking.pipeline_run import _dirty


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_staged_file_makes_the_repository_dirty(repository):
    assert _dirty(repository) is False
    (repository / "x").touch()
    assert git(repository, "add", "x") == ""
    assert _dirty(repository) is True


def test_repository_of_another_user_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert str(_dirty(repository)).startswith("unknown: detected dubious ownership in repository")


def test_folder_without_repository(tmp_path):
    with pytest.raises(GitError, match="not a git repository"):
        git(tmp_path, "status")


def test_machine_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        git(tmp_path, "status")
