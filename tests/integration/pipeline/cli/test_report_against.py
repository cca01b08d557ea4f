"""`labelmint report --against`: where the earlier results come from, and what is written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from labelmint.runtime.atomic_files import save_table
from labelmint.runtime.errors import InputError
from pipeline.cli import earlier, result_commands
from tests.conftest import ROOT
from tests.unit.labelmint.reporting.rows import row

_STAGE = "stages:\n  report:\n    cmd: 'true'\n    outs: [reports/results.csv]\n"


def write(folder: Path, accuracy: float, dataset: str = "digits") -> None:
    """Write the results.csv of one arm."""
    rows = [row("real", 0.95) | {"dataset": dataset}, row("synthetic", accuracy) | {"dataset": dataset}]
    save_table(folder / "results.csv", list(rows[0]), rows)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with results, which is the current folder."""
    folder = tmp_path / "project"
    write(folder / "reports", 0.80)
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "dvc.yaml").write_text(_STAGE)
    monkeypatch.chdir(folder)
    return folder


def synthetic(root: Path, run: str) -> float:
    (found,) = (each["accuracy"] for each in earlier.results(root, run) if each["source"] == "synthetic")
    return float(found)


def test_a_folder_or_its_file_is_read(root, tmp_path):
    write(tmp_path / "old" / "reports", 0.70)
    for name in ("", "/reports", "/reports/results.csv"):
        assert synthetic(root, f"{tmp_path}/old{name}") == 0.70
    with pytest.raises(InputError, match=r"has no results\.csv, nor has a folder reports in it"):
        earlier.results(root, str(tmp_path))


def test_a_git_revision_is_read_from_the_cache_of_dvc(root):
    from dvc.repo import Repo

    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "*.local"))
    subprocess.run([*git, "add", "dvc.yaml"], check=True)
    subprocess.run([*git, "commit", "-qm", "Without results"], check=True)
    with Repo(str(root)) as repo:
        repo.commit("report", force=True)
    subprocess.run([*git, "add", "dvc.lock"], check=True)
    subprocess.run([*git, "commit", "-qm", "Results"], check=True)
    (root / "reports" / "results.csv").unlink()
    write(root / "reports", 0.60)
    assert synthetic(root, "HEAD") == 0.80
    with pytest.raises(InputError, match=r"has no reports/results\.csv that DVC can read"):
        earlier.results(root, "HEAD~1")


def test_the_command_writes_a_page_and_prints_the_differences(root, tmp_path, capsys):
    write(tmp_path / "old", 0.90)
    result_commands.report(against=str(tmp_path / "old"))
    printed = capsys.readouterr().out
    assert printed.startswith("Accuracy fell in 1 of 2 comparisons.")
    assert "−10.00 [−11.41, −8.59]" in printed and f"page: {root}/reports/against.html" in printed
    assert "Accuracy fell in 1 of 2 comparisons." in (root / "reports" / "against.html").read_text()
    result_commands.report(against=str(tmp_path / "old"), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [each["difference"] for each in found] == pytest.approx([0.0, -0.1])


def test_what_cannot_be_compared_is_named(root, tmp_path):
    write(tmp_path / "other", 0.90, "mnist")
    with pytest.raises(
        InputError, match=rf"--against {tmp_path}/other: its results are of mnist, those here"
    ):
        result_commands.report(against=str(tmp_path / "other"))
    message = (
        "--against nothing: no file, folder or git revision has this name; no results of digits in MLflow"
    )
    with pytest.raises(InputError, match=message):
        result_commands.report(against="nothing")
