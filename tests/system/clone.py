"""A copy of the project in which the pipeline runs for real, on few digits."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import ROOT


class Clone:
    """A copy of the project's tracked files, by default with settings for a run of seconds."""

    def __init__(self, folder: Path, shrink: bool = True):
        self.folder = folder
        files = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout.split(b"\0")
        for name in (file.decode() for file in files if file):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        if not shrink:
            return
        self.change(
            dataset={"images_per_class": 12},
            percents=[100],
            training={"epochs": 2, "images_per_epoch": 48, "batch_size": 16},
            synthesis={"images_per_class": 20},
            classifier={"steps": 8, "evaluations": 2, "batch_size": 16, "stem_stride": 2},
            feature_network={"steps": 40},
        )

    @classmethod
    def at(cls, folder: Path) -> Clone:
        """The copy that is in `folder` already."""
        clone = cls.__new__(cls)
        clone.folder = folder
        return clone

    def install(self) -> None:
        """Make the environment of these tests the copy's .venv, as `make env` leaves one."""
        (self.folder / ".venv").mkdir()
        for part in Path(sys.prefix).iterdir():  # every part, or python would not find its packages
            if part.name != ".ready":
                (self.folder / ".venv" / part.name).symlink_to(part)
        (self.folder / ".venv" / ".ready").touch()

    def change(self, **groups: Any) -> None:
        """Set settings in params.yaml: whole lists, or single values of a group."""
        yaml, path = YAML(), self.folder / "params.yaml"
        content = yaml.load(path.read_text())
        for name, values in groups.items():
            if isinstance(values, dict):
                content[name].update(values)
            else:
                content[name] = values
        yaml.dump(content, path)

    def run(
        self, *command: str, timeout: float = 900, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, with the variables of `environment` added."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # MLflow's client leaves its address in the environment of a test that has used it before.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "LABELMINT_"))
        }
        variables = {
            **inherited,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": path,
            "PYTHONPATH": str(self.folder),
            "DVC_NO_ANALYTICS": "1",
            **environment,
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def repro(self, *arguments: str, **environment: str) -> list[str]:
        """Run `dvc repro`. Returns: the stages that ran."""
        done = self.run("dvc", "repro", *arguments, timeout=900, **environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]

    def results(self) -> list[dict[str, str]]:
        """Rows of results.csv."""
        with (self.folder / "reports" / "results.csv").open() as file:
            return list(csv.DictReader(file))
