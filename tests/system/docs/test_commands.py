"""Every documented command runs: in a copy of a small run, in a cheaper form, or in another test."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documented_commands import COVERED, DOCUMENTED, INSTEAD
from tests.documents import experiments_of
from tests.image_trees import encoded
from tests.system.clone import Clone

pytestmark = pytest.mark.xdist_group("ui")  # the copy is of the run that this group makes


class Copy(Clone):
    """A committed copy of the real run with an origin and a home folder, clean for each document."""

    def __init__(self, real, folder: Path):
        self.folder, self.home = folder / "project", folder / "home"
        self.document: Path | None = None
        left_out = shutil.ignore_patterns(".servers", ".tracking", "mlartifacts", "mlflow.db*", "tmp")
        shutil.copytree(real.folder, self.folder, ignore=left_out, symlinks=True)
        self.install()
        (self.folder / "data" / "raw").mkdir(exist_ok=True)
        self.git("init", "-q", "--bare", str(folder / "origin"))
        self.git("add", "-A")
        self.git("commit", "-qm", "Results")
        self.git("remote", "add", "origin", str(folder / "origin"))
        self.git("push", "-qu", "origin", "HEAD")
        self.home.mkdir()
        with zipfile.ZipFile(self.home / "photos.zip", "w") as photos:
            for index, label in enumerate(("bird", "frog", "ship")):
                for number in range(12):
                    photos.writestr(f"{label}/{number}.png", encoded(number + 20 * index))
        names = {f"GIT_{role}_NAME": "t" for role in ("AUTHOR", "COMMITTER")}
        names |= {f"GIT_{role}_EMAIL": "t@example.org" for role in ("AUTHOR", "COMMITTER")}
        self.environment = {"HOME": str(self.home), "MLFLOW_TRACKING_URI": real.ui.mlflow, **names}

    def git(self, *arguments: str) -> None:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def open(self, document: Path) -> None:
        if document == self.document:
            return
        self.document = document
        self.git("checkout", "-q", ".")
        self.git("clean", "-fdq", "experiments")
        (self.folder / ".dvc" / "config.local").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "data" / "raw")
        (self.folder / "data" / "raw").mkdir()
        for name, content in experiments_of(document).items():
            (self.folder / name).write_text(content)


@pytest.fixture(scope="module")
def copy(real, tmp_path_factory) -> Copy:
    return Copy(real, tmp_path_factory.mktemp("documents"))


RUN = [(document, command) for document, command in DOCUMENTED if command not in COVERED]


@pytest.mark.parametrize(
    ("document", "command"),
    RUN,
    ids=[f"{document.relative_to(ROOT)}: {command}" for document, command in RUN],
)
def test_command_succeeds_as_documented(copy, document, command):
    copy.open(document)
    typed = INSTEAD[command][1] if command in INSTEAD else command
    done = copy.run("bash", "-ec", typed, **copy.environment)
    assert done.returncode == 0, f"$ {typed}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
