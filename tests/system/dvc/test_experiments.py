"""Experiments of DVC in a temporary copy of the project."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.image_trees import MINE, good_tree, in_tar
from tests.system.clone import Clone


@pytest.mark.parametrize("place", ["--temp", "--queue"])
def test_imported_data_and_records_of_a_copy_are_the_projects(tmp_path, monkeypatch, place):
    clone = Clone(tmp_path / "project")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "x@localhost")
    for arguments in (["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *arguments], cwd=clone.folder, check=True)
    (clone.folder / "data" / "raw").mkdir(parents=True)
    in_tar(clone.folder / "data" / "raw" / "mine.tar", good_tree())
    clone.change(dataset={**MINE, "path": "data/raw/mine.tar", "images_per_class": None, "sha256": None})
    nowhere = "http://127.0.0.1:9"
    copied = "dvc", "exp", "run", place, "--name", "copied", "prepare"
    done = clone.run(*copied, MLFLOW_TRACKING_URI=nowhere)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if place == "--queue":
        assert clone.run("dvc", "queue", "start", MLFLOW_TRACKING_URI=nowhere).returncode == 0
        done = clone.run("dvc", "queue", "logs", "copied", "--follow")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not (clone.folder / "data" / "tensors").exists()
    clone.run("dvc", "exp", "apply", "copied")  # complains of the stages that did not run
    facts = json.loads((clone.folder / "data" / "tensors" / "dataset.json").read_text())
    assert facts["classes"] == ["cat", "dog"]
    names = {
        json.loads(path.read_bytes())["name"] for path in (clone.folder / ".tracking").glob("*/run.json")
    }
    assert names == {"pipeline", "prepare"}
