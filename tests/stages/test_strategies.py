"""Many replicas: however they are trained, the same weights; what fails or is stopped says so and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelmint.runtime.process_pool import run_jobs
from labelmint.runtime.settings import Compute
from labelmint.training import stopping, trainer
from labelmint.training.images import ArrayImages
from labelmint.training.stacked import Stacked
from labelmint.training.strategies import train_arm
from labelmint.training.trainer import DivergedError, Setup, train
from tests.conftest import ROOT, equal, wild


@pytest.fixture
def replicas(replica):
    """Three of different sizes, seeds and permissions."""
    return [
        replace(replica, name=str(seed), seed=seed, rows=replica.rows[seed:], mirrored=seed == 2) for seed in (1, 2, 3)
    ]


def arm(replicas, images, **compute):
    return dict(train_arm("an arm", replicas, images, Compute("cpu", **compute)))


class TestSameWeights:
    def test_one_worker_or_two_alone_or_beside_others(self, replicas, digits):
        alone = {position: arm([each], digits, workers=1)[0] for position, each in enumerate(replicas)}
        for compute in ({"workers": 1}, {"workers": 2}, {"strategy": "one_by_one"}):
            together = arm(replicas, digits, **compute)
            assert together.keys() == alone.keys()
            assert all(equal(alone[position], together[position]) for position in alone), compute

    @pytest.mark.parametrize("update", ["sequential", "simultaneous"])
    def test_stacked_they_are_the_same_to_rounding(self, replicas, digits, update):
        """Classes of different sizes take different numbers of steps: each leaves the stack when it is done."""
        replicas = [
            replace(
                each,
                family=replace(each.family, update=update),
                training=replace(each.training, images_per_epoch=None, epochs=1, batch_size=4),
                rows=each.rows[: 4 * size],
            )
            for each, size in zip(replicas, (1, 2, 2))
        ]
        apart, stacked = arm(replicas, digits, workers=1), arm(replicas, digits, strategy="stacked")
        for position in apart:
            first, second = apart[position], stacked[position]
            for ours, theirs in zip(first.epochs, second.epochs, strict=True):
                for name in trainer.TRACKED:
                    assert ours[name] == pytest.approx(theirs[name], rel=5e-3, abs=1e-3), (position, name)
            for name, values in first.weights.items():
                assert np.abs(values - second.weights[name]).max() < 5e-3, name
            assert np.abs(first.previews.astype(int) - second.previews).mean() < 1

    def test_a_replica_stopped_in_a_stack_goes_on_alone(self, replicas, digits, tmp_path, monkeypatch):
        """And its weights are those of a stack that was not stopped, to rounding."""
        whole = arm(replicas, digits, strategy="stacked")
        kept = [replace(each, checkpoints=tmp_path / each.name) for each in replicas]
        step = Stacked.train_step

        def step_and_ask_to_stop(self, number, *given):
            step(self, number, *given)
            if number == 2:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Stacked, "train_step", step_and_ask_to_stop)
            with pytest.raises(KeyboardInterrupt):
                arm(kept, digits, strategy="stacked")
        assert all(
            1 <= len(list((tmp_path / each.name).iterdir())) <= 2 for each in replicas
        )  # a slow machine saves sooner
        alone = arm(kept, digits, workers=1)
        for position, trained in whole.items():
            assert all(
                np.abs(values - alone[position].weights[name]).max() < 5e-3 for name, values in trained.weights.items()
            )
            assert len(alone[position].epochs) == 2

    def test_bf16_is_near(self, replicas, digits):
        ((_, plain),) = train(replicas[:1], digits, Setup(join=Stacked))
        ((_, short),) = train(replicas[:1], digits, Setup(join=lambda singles: Stacked(singles, bf16=True)))
        for ours, theirs in zip(plain.epochs, short.epochs):
            assert (
                ours["d_loss_real"] == pytest.approx(theirs["d_loss_real"], abs=0.05)
                and ours["g_loss"] != theirs["g_loss"]
            )


class TestFailures:
    def test_in_a_worker_they_reach_the_caller(self, replica, digits):
        with pytest.raises(DivergedError, match="class 3: the losses are no longer finite"):
            arm([replica, wild(replica)], digits, workers=2)

    def test_jobs_of_any_kind_end_with_the_caller(self, tmp_path):
        with pytest.raises(ZeroDivisionError), closing(run_jobs(_touch, [tmp_path / str(n) for n in range(6)], Compute("cpu", 2))) as results:  # fmt: skip
            for _ in results:
                raise ZeroDivisionError
        done = len(list(tmp_path.iterdir()))
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) == done < 6


def _touch(path: Path, device: torch.device) -> None:
    time.sleep(0.2)
    path.touch()


class TestStopping:
    def test_signals_wait_for_the_end_of_the_block(self):
        with pytest.raises(KeyboardInterrupt), stopping.defer_signals() as request:
            signal.raise_signal(signal.SIGINT)
            assert request.number == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    @pytest.mark.parametrize(
        ("strategy", "name", "code"),
        [
            ("processes", "SIGINT", 130),
            ("processes", "SIGTERM", 143),
            ("one_by_one", "SIGINT", 130),
            ("stacked", "SIGTERM", 143),
        ],
    )
    def test_a_stage_that_is_stopped_saves_and_goes_on(self, project, run_stage, strategy, name, code):
        """All that a person sees: exit code and line, checkpoints, "going on from step", and the end."""
        text = (project / "params.yaml").read_text()
        for old, new in (
            ("epochs: 7 ", "epochs: 4 "),
            ("images_per_epoch: 2048", "images_per_epoch: 640"),
            ("strategy: auto", f"strategy: {strategy}"),
            ("workers: auto", "workers: 2"),
        ):
            assert old in text
            text = text.replace(old, new)
        (project / "params.yaml").write_text(text)
        assert run_stage("prepare", images_per_class=10)[0] == 0
        command = [sys.executable, "-m", "pipeline.stage", "train_generators", "dcgan-100-0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not list((project / ".checkpoints").glob("*/identity.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.7)
        # Ctrl-C reaches the whole group, a SIGTERM the process that was started.
        (os.killpg if name == "SIGINT" else os.kill)(process.pid, getattr(signal, name))
        said = process.communicate(timeout=30)[1]
        assert process.returncode == code and said.strip().splitlines()[-1].startswith("error: train_generators")
        assert "Traceback" not in said
        with pytest.raises(ProcessLookupError):  # the whole session is gone, workers too
            for _ in range(50):
                os.killpg(process.pid, 0)
                time.sleep(0.1)
        saved = list((project / ".checkpoints").glob("*/class-*/*"))
        assert saved and all(path.suffix == ".pt" and int(path.stem.split("-")[1]) < 40 for path in saved)
        process = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=300)
        assert process.returncode == 0 and "going on from step" in process.stderr
        assert not list((project / ".checkpoints").iterdir())


class TestStreaming:
    def test_a_set_larger_than_the_limit_trains_in_bounded_memory_to_the_same_weights(self, tmp_path):
        """60,000 images of 64 px are 737 MB; with resident_bytes: 1 MB the process must stay far below."""
        rng = np.random.default_rng(0)
        few = rng.integers(0, 256, (500, 3, 64, 64), dtype=np.uint8)
        path = tmp_path / "images.npy"
        big = np.lib.format.open_memmap(path, "w+", np.uint8, (60_000, 3, 64, 64))
        for at in range(0, 60_000, 500):
            big[at : at + 500] = few
        del big
        peaks, hashes = {}, {}
        for limit in (10**6, 10**10):
            answer = subprocess.run(
                [sys.executable, "-c", _STREAMING, str(path), str(limit)],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            peaks[limit], hashes[limit] = answer.stdout.split()
        assert hashes[10**6] == hashes[10**10]
        assert int(peaks[10**10]) - int(peaks[10**6]) > 600e6
        assert int(peaks[10**6]) < 900e6


_STREAMING = """
import hashlib, sys
from pathlib import Path
import numpy as np, torch
from stages.train_generators.images import FileImages
from stages.train_generators.params import DiscriminatorNetwork, Family, GeneratorNetwork, Training
from stages.train_generators.trainer import Replica, Setup, train
torch.set_num_threads(1)
family = Family(
    generator=GeneratorNetwork(dense_filters=8, filters=[8], strides=[4, 4]),
    discriminator=DiscriminatorNetwork(filters=[8, 8], strides=[4, 4]),
)
replica = Replica("all", "dcgan", family, Training(1, 640, 64), np.arange(60_000), 5)
((_, trained),) = train([replica], FileImages(Path(sys.argv[1])), Setup(resident_bytes=int(sys.argv[2])))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(int(peak) * 1024, hashlib.sha256(b"".join(value.tobytes() for value in trained.weights.values())).hexdigest())
"""


def test_arrays_in_memory_serve_as_well(replicas, digits):
    array = ArrayImages(digits.take(np.arange(max(each.rows.max() for each in replicas) + 1)))
    first, second = arm(replicas[:1], digits, workers=1), arm(replicas[:1], array, workers=1)
    assert equal(first[0], second[0])
