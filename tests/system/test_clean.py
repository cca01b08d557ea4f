"""`make clean` deletes all that git ignores, except what cannot be made again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

KEPT = {"data/raw/mine.tar", "params.yaml.kept"}


def test_everything_ignored_but_settings_and_raw_data_is_deleted(tmp_path):
    for name in ("Makefile", ".gitignore", "data/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    names = {
        line.strip("/").replace("*", "x") for line in ignored if line.startswith("/") and "data" not in line
    }
    made = {f"{name}/file" if "." not in name[1:] else name for name in names}
    made |= {"data/tensors/images.npy", "data/.prepare/x", "pipeline/__pycache__/x.pyc", *KEPT}
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*KEPT, "Makefile", ".gitignore", "data/README.md"}


def test_backup_table_names_every_folder_of_a_run():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text[text.index("## Backup") : text.index("## Upgrade")]
    written = [
        ".results",
        ".tracking",
        ".checkpoints",
        ".servers",
        "reports",
        "mlflow.db",
        "mlartifacts",
        "data/raw",
    ]
    assert [name for name in written if name not in table] == []
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert all(Path(name).parts[0] in ignored for name in written)
