"""`.venv/bin/dvc repro` without the environment starts stages with a Python that lacks the packages."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_missing_packages_are_named_with_their_python(tmp_path):
    command = [sys.executable, "-S", "-m", "pipeline.stage", "prepare"]  # -S: without installed packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: {sys.executable} has no package 'pydantic': activate the project's"
    )
    assert len(done.stderr.splitlines()) == 1
