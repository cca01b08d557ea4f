"""The Dockerfile: it builds where docker runs; elsewhere its steps are those that CI takes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
STEPS = re.sub(r"\\\n\s*", "", TEXT)


def has_docker() -> bool:
    return (
        bool(shutil.which("docker"))
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not has_docker(), reason="needs docker and its daemon")
@pytest.mark.timeout(1800)
def test_it_builds_and_its_command_works():
    subprocess.run(["docker", "build", "--quiet", "--tag", "labelmint-test", "."], cwd=ROOT, check=True)
    command = ["docker", "run", "--rm", "labelmint-test", "labelmint", "check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_installs_what_the_readme_asks_for_and_makes_the_same_environment():
    (packages,) = re.findall(r"apt-get install [^&]*recommends ([^&]*)", STEPS)
    assert {"git", "make", "python3-venv"} <= set(packages.split())
    assert re.search(r"^RUN make env$", STEPS, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^env: \$\(READY\)", makefile, re.MULTILINE)
    assert "UV_TORCH_BACKEND" in makefile


def test_nothing_of_a_run_is_copied_into_it():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in (ROOT / ".gitignore").read_text().splitlines():
        name = line.strip("/")
        if name in (".venv", ".servers", ".tracking", ".checkpoints", ".results", "reports", "mlartifacts"):
            assert name in ignored, name
    assert {"data/*", ".dvc/cache", ".dvc/tmp"} <= set(ignored)


def test_it_runs_as_a_user_without_rights():
    assert STEPS.index("\nUSER labelmint") < STEPS.index("\nRUN make env")
    assert "USER root" not in STEPS[STEPS.index("\nUSER labelmint") :]
