"""Experiments of DVC in a temporary copy of the project."""

from __future__ import annotations

import json
import subprocess

from tests.image_trees import MINE, good_tree, in_tar
from tests.system.clone import Clone


def test_imported_data_and_records_of_a_copy_are_the_projects(tmp_path):
    clone = Clone(tmp_path / "project")
    subprocess.run(["git", "add", "-A"], cwd=clone.folder, check=True)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "commit", "-qm", "start"], cwd=clone.folder, check=True)
    (clone.folder / "data" / "raw").mkdir(parents=True)
    in_tar(clone.folder / "data" / "raw" / "mine.tar", good_tree())
    clone.change(dataset={**MINE, "path": "data/raw/mine.tar", "images_per_class": None, "sha256": None})
    identity = {
        f"GIT_{who}_{what}": "x@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    unreachable = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = clone.run("dvc", "exp", "run", "--temp", "--name", "copied", "prepare", **identity, **unreachable)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not (clone.folder / "data" / "tensors").exists()
    applied = clone.run("dvc", "exp", "apply", "copied", **identity)
    assert applied.returncode == 0, applied.stderr
    facts = json.loads((clone.folder / "data" / "tensors" / "dataset.json").read_text())
    assert facts["classes"] == ["cat", "dog"]
    names = {
        json.loads(path.read_bytes())["name"] for path in (clone.folder / ".tracking").glob("*/run.json")
    }
    assert names == {"pipeline", "prepare"}
