"""The one entry: exit codes and one line for every kind of error."""

from __future__ import annotations

import errno
import gzip
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import make_dataclass

import pytest
import torch

from labelmint.runtime.errors import InputError
from labelmint.runtime.process_pool import in_processes
from pipeline import stage
from pipeline.stage import entry, flat, select
from stages.paths import Arm
from tests.conftest import ROOT


def outcome(capsys, *arguments: str) -> tuple[int, str]:
    code = stage.main(list(arguments))
    return code, capsys.readouterr().err.strip()


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["nonsense"], "error: nonsense: no stage 'nonsense'"),
            (["evaluate"], "this stage needs an arm"),
            (["evaluate", "dcgan"], "'dcgan' is not an arm"),
            (["train_generators", "stylegan-40-0"], "families: no 'stylegan'"),
            (["train_generators", "dcgan-40-0"], "data/tensors/images.npy is missing; `dvc repro` makes it"),
            (["report"], "data/metrics/dcgan-40-0.json is missing; `dvc repro` makes it"),
        ],
    )
    def test_end_with_2_and_one_line(self, project, capsys, arguments, says):
        code, said = outcome(capsys, *arguments)
        assert code == 2 and says in said and said.count("\n") == 0 and "Traceback" not in said

    def test_in_params(self, project, capsys):
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("epochs:", "epoch:"))
        code, said = outcome(capsys, "prepare")
        assert code == 2 and "did you mean 'epochs'" in said and not (project / "data").exists()

    def test_no_arguments(self, capsys):
        assert stage.main([]) == 2 and "usage" in capsys.readouterr().err


def test_what_follows_a_stage_that_is_done_does_not_fail_it(project, capsys, monkeypatch):
    """The run's data for MLflow, the last results for `labelmint experiments`."""

    class Report:
        Params = make_dataclass("Params", [])

        @staticmethod
        def run(params, layout, tracker):
            for path in (
                layout.tensors / "manifest.json",
                layout.tensors / "dataset.json",
                layout.reports / "summary.json",
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{")

    monkeypatch.setattr(stage, "entry", lambda name: Report)
    (project / "experiments").mkdir()
    shutil.copy(project / "params.yaml", project / "experiments" / "default.yaml")
    code, said = outcome(capsys, "report")
    tracked, recorded = said.splitlines()
    assert code == 0 and tracked.startswith(f"not tracked: {project}/data/tensors/dataset.json: ")
    assert f"results not kept in the list of experiments: {project}/reports/summary.json: not JSON (" in recorded


def shrink(text: str, **changes: str) -> str:
    """Settings as text, with some lines changed."""
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^(\s*{name}:) [^#\n]*", rf"\1 {value} ", text, count=1)
        assert count == 1
    return text


class TestRealMnist:
    """A person's mirror holds a bad file: the stage names it, leaves nothing half done, and works once it is mended."""

    @pytest.fixture
    def mirror(self, project, mnist, monkeypatch):
        folder = project / "mirror"
        shutil.copytree(mnist / "MNIST", folder / "MNIST")
        monkeypatch.setenv("LABELMINT_MIRROR", str(folder))
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(shrink(text, name="mnist", image_size="28", images_per_class="20"))
        return folder / "MNIST" / "raw"

    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda content: content[: len(content) // 2], "damaged gzip data"),
            (lambda content: gzip.compress(gzip.decompress(content)[:-1], 1), "checksum is"),
            (lambda content: b"<html>not found</html>", "checksum is"),
        ],
    )
    def test_a_bad_file(self, project, mirror, capsys, spoil, says):
        path = mirror / "t10k-labels-idx1-ubyte.gz"
        good = path.read_bytes()
        path.write_bytes(spoil(good))
        code, said = outcome(capsys, "prepare")
        assert code == 2 and says in said and str(path) in said and said.count("\n") == 0
        assert not (project / "data" / "tensors").exists()
        path.write_bytes(good)
        assert outcome(capsys, "prepare")[0] == 0


def _too_large(_: int = 0) -> None:
    torch.empty(1 << 55)


def _as_cuda_says(_: int = 0) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _no_room_to_fork(_: int = 0) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


class TestFailures:
    def test_a_full_disk(self, project, capsys, monkeypatch):
        def full(*arguments):
            raise OSError(28, "No space left on device", "data/tensors/images.npy")

        monkeypatch.setattr("labelmint.data.preparation.save_array", full)
        code, said = outcome(capsys, "prepare")
        assert (
            code == 1
            and said
            == "error: prepare: data/tensors/images.npy: no space left to write; free some disk and run again to go on"
        )

    def test_a_write_that_falls_short(self, project):
        """The kernel stops the write of images.npy; the next try, with room, succeeds."""
        command = [sys.executable, "-m", "pipeline.stage", "prepare"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
        short = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, preexec_fn=limit)
        path = project / "data" / "tensors" / "images.npy"
        assert short.returncode == 1 and short.stderr.count("\n") == 1
        assert f"error: prepare: {project / 'data/.prepare/train/images.npy'}: no space left to write" in short.stderr
        assert not list((project / "data").iterdir())
        assert subprocess.run(command, cwd=project, env=environment, capture_output=True).returncode == 0
        assert path.exists()

    @pytest.mark.parametrize(
        ("raised", "code", "says"),
        [
            (KeyboardInterrupt, 130, "interrupted"),
            (stage.Terminated, 143, "terminated"),
            (MemoryError, 1, "out of memory"),
            (RuntimeError("could not create a primitive"), 1, "out of memory"),
            (
                RuntimeError("could not create a primitive descriptor"),
                1,
                "RuntimeError: could not create a primitive desc",
            ),
            (ValueError("a\nb"), 1, "ValueError: a b"),
        ],
    )
    def test_others(self, project, capsys, monkeypatch, raised, code, says):
        def fail(*arguments):
            raise raised

        monkeypatch.setattr("labelmint.data.preparation.save_array", fail)
        found, said = outcome(capsys, "prepare")
        assert found == code and says in said and said.count("\n") == 0

    @pytest.mark.parametrize("raises", [_too_large, _as_cuda_says, _no_room_to_fork])
    @pytest.mark.parametrize("workers", [0, 2])
    def test_memory_of_every_kind_and_of_a_worker_is_one_line(self, project, capsys, monkeypatch, raises, workers):
        def fail(*arguments):
            return list(in_processes(raises, [0, 1], workers)) if workers else raises()

        monkeypatch.setattr("labelmint.data.preparation.save_array", fail)
        wanted = "error: prepare: out of memory; close other programs, or lower batch_size and compute.workers"
        assert outcome(capsys, "prepare") == (1, wanted)

    def test_debug_shows_the_traceback(self, project, capsys, monkeypatch):
        monkeypatch.setenv("LABELMINT_DEBUG", "1")
        assert "Traceback" in outcome(capsys, "nonsense")[1]


def test_select_hands_over_what_is_declared_and_no_more(params):
    chosen = select(entry("train_generators").Params, params, Arm("dcgan", 40, 0))
    assert chosen.family is params.families["dcgan"] and not hasattr(chosen, "classifier")
    with pytest.raises(InputError, match="needs an arm"):
        select(entry("train_generators").Params, params, None)


def test_flat():
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
