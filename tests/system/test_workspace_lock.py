"""The lock of a workspace, taken by the command that `make repro` starts."""

from __future__ import annotations

import subprocess

from pipeline.dvc.workspace_lock import locked_workspace
from tests.system.chaos.workspace import REPRO
from tests.system.servers import clean_environment
from tests.system.tiny_project import TinyProject


def test_second_run_ends_with_a_message(tmp_path):
    (tmp_path / ".dvc").mkdir()
    command = ["python", "-m", "pipeline.dvc.workspace_lock", "echo", "ran"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
        )

    with locked_workspace(tmp_path):
        done = run()
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("error: another run is in progress")
    done = run()
    assert (done.returncode, done.stdout) == (0, "ran\n")


def test_dvc_works_after_its_table_of_locks_was_half_written(tmp_path):
    """Plain DVC fails; the command of `make repro` removes the table first."""
    project = TinyProject(tmp_path / "project")
    (project.root / ".dvc" / "tmp").mkdir()
    (project.root / ".dvc" / "tmp" / "rwlock").touch()
    for command, code in ((["dvc", "repro", "prepare"], 255), ([*REPRO, "prepare"], 0)):
        done = subprocess.run(
            command, cwd=project.root, env=project.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert ("RWLock-file" in done.stderr) is (code != 0)
