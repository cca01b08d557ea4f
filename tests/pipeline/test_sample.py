"""`labelmint sample` as a person runs it: killed, out of memory's reach, given what it must not open."""

from __future__ import annotations

import json
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
from tests.payload import pickled, sha256
from tests.untrained_generators import FAMILY_OF, file_tree, untrained

SHAPE = (3, 64, 64)


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> Path:
    """A tiny one of 64 px, RGB, outside of any project."""
    family = replace(FAMILY_OF["conditional"], latent_size=2)
    network = replace(family.generator, dense_filters=2, filters=[2])
    folder = tmp_path_factory.mktemp("handed") / "cgan-40-0"
    archive.save(folder, untrained("conditional", SHAPE, replace(family, generator=network)), {})
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline.cli.main", "sample", *map(str, arguments)]


def sampled(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_generator_alone_is_enough(generator, tmp_path):
    """No project, no data: the folder that somebody handed over."""
    done = sampled(tmp_path, generator, "--class", "dog", "--count", 3, "--out", "dogs", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 3
    assert sorted(path.name for path in (tmp_path / "dogs" / "dog").iterdir()) == [f"00000{n}.png" for n in range(3)]
    sheet = (tmp_path / "dogs" / "README.md").read_text()
    assert "# 3 synthetic images from cgan-40-0" in sheet and "CC BY 4.0" in sheet
    again = sampled(tmp_path, generator, "--class", "dog", "--count", 3, "--out", "dogs")
    assert again.returncode == 0 and "already holds these 3 images" in again.stdout


def test_a_dry_run_writes_nothing(generator, tmp_path):
    done = sampled(tmp_path, generator, "--count", 1000, "--out", "out", "--format", "tensors", "--dry-run")
    assert "would mint 3,000 images (cat, dog, T-shirt/top) into out as tensors, about 36.9 MB" in done.stdout
    assert not list(tmp_path.iterdir())


def test_more_than_the_disk_holds_is_refused_at_once(generator, tmp_path):
    done = sampled(tmp_path, generator, "--count", 10**11, "--out", "out", "--format", "tensors")
    assert done.returncode == 2 and "GB are free; lower --count or name another disk" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_kill_in_the_middle_is_gone_on_from(generator, tmp_path):
    order = ("--count", 3000, "--format", "tensors", "--workers", 2)
    whole = sampled(tmp_path, generator, *order, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen(
        command(generator, *order, "--out", "cut"), cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )  # fmt: skip
    journal = tmp_path / "cut" / ".finished"
    until = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") >= 1):
        assert begun.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.killpg(begun.pid, signal.SIGKILL)  # a session of its own: it and its workers
    begun.wait()
    assert not (tmp_path / "cut" / "images.npy").exists()
    done = sampled(tmp_path, generator, *order, "--out", "cut")
    assert done.returncode == 0 and " of them earlier; " in done.stdout, done.stdout + done.stderr
    assert file_tree(tmp_path / "cut").keys() == file_tree(tmp_path / "whole").keys()
    for name in ("images.npy", "labels.npy", "latent_seeds.npy"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_memory_does_not_grow_with_the_number_of_images(generator, tmp_path):
    """15,000 images are 184 MB as they lie in memory."""
    program = f"""
import resource, sys
sys.argv[1:] = {["sample", str(generator), "--format", "tensors", "--workers", "1", "--out"]!r} + sys.argv[1:]
from pipeline.cli import app
app(standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peak = {}
    for count in (1000, 5000):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / str(count)), "--count", str(count)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        peak[count] = int(done.stdout.splitlines()[-1]) / 1024
    assert (tmp_path / "5000" / "images.npy").stat().st_size > 170 << 20
    shutil.rmfile_tree(tmp_path / "5000")
    assert peak[5000] < peak[1000] + 40  # MB


@pytest.mark.parametrize(
    "disguise", ["generator.pt", "generator.pkl", "folder/generator.pth", "folder/generator.safetensors"]
)
def test_a_pickle_is_refused_unopened(generator, tmp_path, disguise):
    trap, place = tmp_path / "sprung", tmp_path / disguise
    content = pickled(trap)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    if place.suffix == ".safetensors":  # with a description that vouches for it
        facts = json.loads((generator / "architecture.json").read_text())
        facts["weights_sha256"] = sha256(content)
        (place.parent / "architecture.json").write_text(json.dumps(facts))
    named = place.parent if "/" in disguise else place
    done = sampled(tmp_path, named, "--count", 1, "--out", "out")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert ("is a pickle" in done.stderr) == (place.suffix != ".safetensors")
    assert not trap.exists() and not (tmp_path / "out").exists()


def test_generators_of_the_project_are_known_by_name(generator, tmp_path):
    from labelmint.runtime.errors import InputError
    from pipeline.cli import sampling

    for arm in ("cgan-40-0", "dcgan-40-0", "dcgan-80-0"):
        shutil.copytree(generator, tmp_path / "data" / "generators" / arm)
    generators_ = tmp_path / "data" / "generators"
    assert sampling.find(tmp_path, "dcgan-80-0") == generators_ / "dcgan-80-0"
    assert sampling.find(tmp_path, "cgan") == generators_ / "cgan-40-0"
    with pytest.raises(InputError, match="several generators of dcgan: dcgan-40-0, dcgan-80-0; name one"):
        sampling.find(tmp_path, "dcgan")
    with pytest.raises(InputError, match="no generator 'dcgan-81-0'; did you mean 'dcgan-80-0'"):
        sampling.find(tmp_path, "dcgan-81-0")
