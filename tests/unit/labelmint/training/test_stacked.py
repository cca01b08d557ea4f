"""Replicas in a stack: the same weights as one by one, to rounding."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest

from labelmint.training.stacked import Stacked
from labelmint.training.trainer import Setup, train
from labelmint.training.updates import TRACKED

STACK = Setup(join=Stacked)


@pytest.fixture
def replicas(replica):
    """Three replicas with different sizes, seeds and permissions to flip."""
    return [
        replace(replica, name=str(seed), seed=seed, rows=replica.rows[seed:], mirrored=seed == 2)
        for seed in (1, 2, 3)
    ]


def assert_close(first, second):
    for name, values in first.weights.items():
        assert np.abs(values - second.weights[name]).max() < 5e-3, name


@pytest.mark.parametrize("update", ["sequential", "simultaneous"])
def test_a_stack_equals_one_by_one_to_rounding(replicas, digits, update):
    """Classes of different sizes take different numbers of steps: each leaves the stack when it is done."""
    training = replace(replicas[0].training, images_per_epoch=None, epochs=1, batch_size=4)
    replicas = [
        replace(
            each, family=replace(each.family, update=update), training=training, rows=each.rows[: 4 * size]
        )
        for each, size in zip(replicas, (1, 2, 2))
    ]
    apart, stacked = dict(train(replicas, digits)), dict(train(replicas, digits, STACK))
    for position, first in apart.items():
        second = stacked[position]
        for ours, theirs in zip(first.epochs, second.epochs, strict=True):
            for name in TRACKED:
                assert ours[name] == pytest.approx(theirs[name], rel=5e-3, abs=1e-3), (position, name)
        assert_close(first, second)
        assert np.abs(first.previews.astype(int) - second.previews).mean() < 1


def test_replicas_interrupted_in_a_stack_resume_one_by_one(replicas, digits, tmp_path, monkeypatch):
    uninterrupted = dict(train(replicas, digits, STACK))
    saving = [replace(each, checkpoints=tmp_path / each.name) for each in replicas]
    train_step = Stacked.train_step

    def step_and_interrupt(self, number, *arguments):
        train_step(self, number, *arguments)
        if number == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Stacked, "train_step", step_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(train(saving, digits, STACK))
    for each in replicas:  # a slow machine saves an earlier step too
        assert (tmp_path / each.name / "000-000000000003.pt").exists()
    resumed = dict(train(saving, digits))
    for position, trained in uninterrupted.items():
        assert_close(trained, resumed[position])
        assert len(resumed[position].epochs) == 2


def test_bf16_is_near(replicas, digits):
    ((_, plain),) = train(replicas[:1], digits, STACK)
    ((_, short),) = train(replicas[:1], digits, Setup(join=lambda singles: Stacked(singles, bf16=True)))
    for ours, theirs in zip(plain.epochs, short.epochs, strict=True):
        assert ours["d_loss_real"] == pytest.approx(theirs["d_loss_real"], abs=0.05)
        assert ours["g_loss"] != theirs["g_loss"]
