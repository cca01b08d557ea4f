"""A stage whose data or workers fail: one line, nothing half done, and a second run that succeeds."""

from __future__ import annotations

import errno
import gzip
import os
import shutil

import pytest
import torch

from labelmint.runtime.process_pool import in_processes
from pipeline import stage
from tests.unit.pipeline.test_stage import FakeStage, ended


class TestBadFileOfAMirror:
    """A file of MNIST in the user's mirror is damaged; after it is fixed, the stage succeeds."""

    @pytest.fixture
    def mirror(self, project, mnist, monkeypatch):
        folder = project / "mirror"
        shutil.copytree(mnist / "MNIST", folder / "MNIST")
        monkeypatch.setenv("LABELMINT_MIRROR", str(folder))
        return folder / "MNIST" / "raw"

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda content: content[: len(content) // 2], "damaged gzip data"),
            (lambda content: gzip.compress(gzip.decompress(content)[:-1], 1), "checksum is"),
            (lambda content: b"<html>not found</html>", "checksum is"),
        ],
    )
    def test_is_named_and_nothing_is_left(self, project, mirror, run_stage, damage, message):
        settings = {"name": "mnist", "image_size": 28, "images_per_class": 20}
        path = mirror / "t10k-labels-idx1-ubyte.gz"
        good = path.read_bytes()
        path.write_bytes(damage(good))
        code, text = run_stage("prepare", **settings)
        last = text.splitlines()[-1]
        assert code == 2
        assert message in last
        assert str(path) in last
        assert not (project / "data" / "tensors").exists()
        path.write_bytes(good)
        assert run_stage("prepare", **settings)[0] == 0


def _too_large(_: int = 0) -> None:
    torch.empty(1 << 55)


def _like_cuda(_: int = 0) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _no_memory_to_fork(_: int = 0) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.parametrize("fail", [_too_large, _like_cuda, _no_memory_to_fork])
@pytest.mark.parametrize("workers", [0, 2])
def test_running_out_of_memory_is_one_line_also_in_a_worker(project, capsys, monkeypatch, fail, workers):
    def work(paths):
        if workers:
            list(in_processes(fail, [0, 1], workers))
        fail()

    monkeypatch.setattr(stage, "entry", lambda name: FakeStage(work))
    message = "error: prepare: out of memory; close other programs, or lower batch_size and compute.workers"
    assert ended(capsys, "prepare") == (1, message)
