"""`labelmint sample` as a process: killed, and measured."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from labelmint.gans import archive
from tests.conftest import ROOT
from tests.untrained_generators import FAMILY_OF, file_tree, untrained

SHAPE = (3, 64, 64)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator of RGB images of 64 pixels, outside of any project."""
    family = replace(FAMILY_OF["conditional"], latent_size=2)
    family = replace(family, generator=replace(family.generator, dense_filters=2, filters=[2]))
    folder = tmp_path_factory.mktemp("generators") / "cgan-40-0"
    archive.save(folder, untrained("conditional", SHAPE, family), {})
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline.cli.main", "sample", *map(str, arguments)]


def sampled(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def test_resumes_after_a_kill(generator, tmp_path):
    arguments = (generator, "--count", 3000, "--format", "tensors", "--workers", 2)
    whole = sampled(tmp_path, *arguments, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        command(*arguments, "--out", "cut"),
        cwd=tmp_path,
        env=ENVIRONMENT,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    journal = tmp_path / "cut" / ".finished"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") >= 1):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # the process and its workers
    process.wait()
    assert not (tmp_path / "cut" / "images.npy").exists()
    done = sampled(tmp_path, *arguments, "--out", "cut")
    assert done.returncode == 0, done.stderr
    assert " of them earlier; " in done.stdout
    assert file_tree(tmp_path / "cut").keys() == file_tree(tmp_path / "whole").keys()
    for name in ("images.npy", "labels.npy", "latent_seeds.npy"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_memory_does_not_grow_with_the_number_of_images(generator, tmp_path):
    """15,000 images take 184 MB."""
    program = f"""
import resource, sys
sys.argv[1:] = {["sample", str(generator), "--format", "tensors", "--workers", "1", "--out"]!r} + sys.argv[1:]
from pipeline.cli.main import app
app(standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peak = {}
    for count in (1000, 5000):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / str(count)), "--count", str(count)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        peak[count] = int(done.stdout.splitlines()[-1]) / 1024
    assert (tmp_path / "5000" / "images.npy").stat().st_size > 170 << 20
    shutil.rmtree(tmp_path / "5000")
    assert peak[5000] < peak[1000] + 40  # MB
