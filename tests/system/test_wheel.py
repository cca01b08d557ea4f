"""The package as `pip install .` leaves it: a library and a command that work outside of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("wheel")

USE = """
import sys, labelmint
assert "torch" not in sys.modules, "import labelmint must not import torch"
dataset = labelmint.load_dataset("digits", images_per_class=12)
synthesizer = labelmint.Synthesizer("dcgan", epochs=1, images_per_epoch=16, batch_size=8).fit(dataset)
images, labels = synthesizer.sample(per_class=3)
synthesizer.save("generator")
again, _ = labelmint.load("generator").sample(per_class=3)
print(labelmint.__file__, images.shape, len(set(labels.tolist())), (again == images).all())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the installed wheel, but not its dependencies: those are the test environment's."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "dist", ROOT],
        check=True,
        timeout=300,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel],
        check=True,
        timeout=300,
    )
    return folder


def run(installed: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    (work := installed / "elsewhere").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(installed / "site")}
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300)


def test_installs_one_top_level_package_and_what_it_needs(installed):
    (wheel,) = (installed / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"labelmint"}
    for name in (
        "py.typed",
        "reporting/page.html.j2",
        "reporting/page.css",
        "_project/pipeline/stage.py",
        "_project/stages/prepare.py",
        "_project/experiments/default.yaml",
    ):
        assert f"labelmint/{name}" in names
    assert not [name for name in names if "tests" in name or "__pycache__" in name]


def test_the_library_trains_samples_saves_and_loads(installed):
    done = run(installed, sys.executable, "-c", USE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        str(installed / "site/labelmint/__init__.py"),
        "(30,",
        "1,",
        "16,",
        "16)",
        "10",
        "True",
    ]


def test_the_command_works_outside_of_a_checkout(installed):
    command = installed / "site" / "bin" / "labelmint"
    for arguments, expected in (
        (["--help"], "Usage: labelmint"),
        (["--version"], "0.1.0"),
        (["experiments"], "mnist_quick"),
    ):
        done = run(installed, sys.executable, command, *arguments)
        assert (done.returncode, done.stderr) == (0, "") and expected in done.stdout, (arguments, done.stderr)
    done = run(installed, sys.executable, command, "run")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
