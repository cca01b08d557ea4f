"""Results of an earlier run: from its files, from a git revision through DVC, or from MLflow."""

from __future__ import annotations

from pathlib import Path

from labelmint.reporting.replicates import Row
from labelmint.reporting.tables import read_results
from labelmint.runtime.errors import InputError
from labelmint.runtime.git import GitError, git
from pipeline.cli import comparison
from stages.paths import Paths


def results(root: Path, run: str) -> list[Row]:
    """Rows of the results of a run.

    run: a results.csv, or a folder with one or with reports/results.csv; a git revision of the project at
    `root`; or the id or name of a run in its MLflow. The first of these that exists is taken.
    Raises: InputError if there is none, Unreachable if MLflow cannot be read.
    """
    path = Path(run).expanduser()
    candidates = (path, path / "results.csv", Paths(path).reports / "results.csv")
    if file := next((each for each in candidates if each.is_file()), None):
        return read_results(file)
    if path.is_dir():
        raise InputError(f"{path} has no results.csv, nor has a folder reports in it")
    if commit := _commit(root, run):
        return _of_commit(root, commit)
    try:
        return comparison.collect(root, runs=[run]).rows
    except InputError as error:
        raise type(error)(f"no file, folder or git revision has this name; {error}") from error


def _commit(root: Path, run: str) -> str:
    """Hash of the commit of a revision; empty if there is none of this name."""
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{run}^{{commit}}")
    except GitError:
        return ""


def _of_commit(root: Path, commit: str) -> list[Row]:
    """Rows that DVC has for a commit, in its cache or, if it has a remote, there."""
    import tempfile

    from dvc.api import DVCFileSystem

    file = (Paths(root).reports / "results.csv").relative_to(root).as_posix()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "results.csv"
        try:
            DVCFileSystem(str(root), rev=commit).get_file(file, str(copy))
        except Exception as error:  # DVC raises many types
            raise InputError(
                f"commit {commit[:8]} has no {file} that DVC can read: its dvc.lock must be committed, and "
                "the file in DVC's cache or a remote"
            ) from error
        return read_results(copy)
