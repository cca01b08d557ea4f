"""The console script, run as a person runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from pipeline import params as settings
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "deeper").mkdir()
    return tmp_path


def labelmint(cwd, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_use_works_from_any_folder_of_the_project(project):
    done = labelmint(project / "deeper", "use", "mnist_quick")
    assert done.returncode == 0 and "params.yaml now holds mnist_quick" in done.stderr
    assert settings.load(project / "params.yaml").dataset.name == "mnist"


@pytest.mark.parametrize(
    ("arguments", "where", "says"),
    [
        (["use", "mnist_quik"], ".", "error: no experiment 'mnist_quik'; did you mean 'mnist_quick'?"),
        (["results"], ".", "results.md is missing; `make repro` makes it"),
        (["check"], "..", "is not within a labelmint project"),
    ],
)
def test_mistakes_end_with_2_and_one_line(project, arguments, where, says):
    done = labelmint(project / where, *arguments)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_check_finds_a_typo_that_no_stage_reads(project):
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "clasifier: {}\n")
    done = labelmint(project, "check")
    assert done.returncode == 2 and "unknown setting 'clasifier'; did you mean 'classifier'?" in done.stderr


def test_experiments_are_listed_with_what_they_are(project):
    lines = labelmint(project, "experiments").stdout.splitlines()
    assert [line.split()[0] for line in lines] == settings.experiments(ROOT)
    assert "two CPU cores" in lines[0]


@pytest.mark.parametrize("command", ["use", "experiments", "check", "results", "sync"])
def test_help_has_an_example(project, command):
    done = labelmint(project, command, "--help")
    assert done.returncode == 0 and "Example:" in done.stdout and f"labelmint {command}" in done.stdout


def test_an_unknown_command_is_a_mistake(project):
    assert labelmint(project, "mint").returncode == 2
