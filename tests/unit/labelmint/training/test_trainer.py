"""The training loop: same seed, same weights, wherever it is stopped; options; restarts."""

from __future__ import annotations

import signal
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from labelmint.runtime.errors import DivergedError
from labelmint.training import trainer
from labelmint.training.checkpoints import SaveInterval
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica, Trained
from labelmint.training.run import Run, Setup
from labelmint.training.trainer import Seen, throttled, train
from tests.conftest import equal, wild


def train_one(replica: Replica, images: ArrayImages) -> Trained:
    ((_, result),) = train([replica], images)
    return result


def without_speed(trained: Trained) -> list[dict[str, object]]:
    return [row | {"images_per_second": 0} for row in trained.epochs]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class AlwaysDue(SaveInterval):
    def due(self) -> bool:
        return True


class TestReproducibility:
    def test_same_seed_same_weights_and_another_seed_others(self, replica, digits):
        first, again, other = (train_one(replace(replica, seed=seed), digits) for seed in (7, 7, 8))
        assert equal(first, again)
        assert not equal(first, other)

    @pytest.mark.parametrize("at", [1, 2, 3, 5])
    def test_killed_at_any_step_it_resumes_to_the_same_result(
        self, replica, digits, tmp_path, monkeypatch, at
    ):
        uninterrupted = train_one(replica, digits)
        saving = replace(replica, checkpoints=tmp_path / "kept")
        monkeypatch.setattr(trainer, "SaveInterval", AlwaysDue)
        step = Run.step
        taken: list[int] = []

        def step_or_die(self):
            if self.steps_done == at and not taken:
                raise KeyboardInterrupt
            step(self)

        def counted(self):
            taken.append(self.steps_done)
            step(self)

        monkeypatch.setattr(Run, "step", step_or_die)
        with pytest.raises(KeyboardInterrupt):
            train_one(saving, digits)
        monkeypatch.setattr(Run, "step", counted)
        resumed = train_one(saving, digits)
        assert taken == list(range(at, replica.steps))
        assert equal(uninterrupted, resumed)
        assert np.array_equal(uninterrupted.previews, resumed.previews)
        assert without_speed(uninterrupted) == without_speed(resumed)

    def test_a_stop_signal_takes_effect_after_the_step_and_loses_none(
        self, replica, digits, tmp_path, monkeypatch
    ):
        saving, step = replace(replica, checkpoints=tmp_path / "kept"), Run.step

        def step_and_interrupt(self):
            step(self)
            if self.steps_done == 3:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "step", step_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                train_one(saving, digits)
        assert [path.name for path in (tmp_path / "kept").iterdir()] == ["000-000000000004.pt"]
        assert equal(train_one(replica, digits), train_one(saving, digits))

    def test_images_read_from_memory_batch_by_batch_give_the_same_weights(self, replica, digits):
        ((_, streamed),) = train([replica], digits, Setup(resident_bytes=0))
        assert equal(train_one(replica, digits), streamed)


class TestRecords:
    def test_numbers_and_previews_of_each_epoch(self, replica, digits):
        trained = train_one(replica, digits)
        assert [(row["epoch"], row["images_seen"]) for row in trained.epochs] == [(1, 24), (2, 48)]
        for row in trained.epochs:
            assert 0 <= row["d_acc_real"] <= 1
            assert min(row["d_loss_fake"], row["g_gradient"], row["diversity"]) > 0
        assert trained.previews.shape == (2, 1, 3, 1, 16, 16)
        assert trained.previews.dtype == np.uint8

    def test_a_batch_may_exceed_the_class(self, replica, digits):
        training = replace(replica.training, batch_size=32, images_per_epoch=None)
        assert train_one(replace(replica, training=training), digits).epochs[-1]["images_seen"] == 64

    def test_the_callback_hears_of_every_image_and_epoch(self, replica, digits):
        calls: list[Seen] = []
        list(train([replica], digits, callback=throttled(calls.append)))
        assert [(seen.position, seen.images) for seen in calls] == [(0, 24), (0, 24)]
        assert [seen.row["epoch"] for seen in calls if seen.row] == [1, 2]

    def test_the_callback_hears_what_an_earlier_process_has_seen(
        self, replica, digits, tmp_path, monkeypatch
    ):
        saving = replace(replica, checkpoints=tmp_path / "kept")
        monkeypatch.setattr(trainer, "SaveInterval", AlwaysDue)
        first: list[Seen] = []
        with closing(train([saving], digits, callback=first.append)) as results:
            monkeypatch.setattr(Run, "end_of_epoch", interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(results)
        monkeypatch.undo()
        calls: list[Seen] = []
        list(train([saving], digits, callback=throttled(calls.append)))
        assert [each.images for each in first] == [8, 8]  # the third step is not reported
        assert calls[0] == Seen(0, 16, resumed=True)
        assert [(each.images, each.resumed) for each in calls[1:]] == [(8, False), (24, False)]


@pytest.mark.parametrize("update", ["sequential", "simultaneous"])
def test_options_change_the_weights(replica, digits, update):
    training = replace(replica.training, epochs=1)
    base = replace(replica, family=replace(replica.family, update=update), training=training)
    noisy = replace(base.family.discriminator, head_noise=0.5)
    plain = train_one(base, digits)
    for changed in (
        replace(base, family=replace(base.family, label_smoothing=0.3)),
        replace(base, family=replace(base.family, discriminator=noisy)),
        replace(base, training=replace(base.training, translation=0.0)),
        replace(base, training=replace(base.training, ema_half_life=0)),
        replace(base, training=replace(base.training, learning_rate_decay="linear")),
        replace(base, mirrored=True),
    ):
        assert not equal(plain, train_one(changed, digits))


class TestRestarts:
    def test_an_unhealthy_replica_restarts_with_another_seed(self, replica, digits, monkeypatch, capsys):
        """The rows of all attempts are kept; previews are those of the last one."""
        monkeypatch.setattr("labelmint.training.health.COLLAPSED_BELOW", 10)
        training = replace(replica.training, epochs=5, images_per_epoch=8, restarts=2)
        trained = train_one(replace(replica, training=training), digits)
        assert [(row["attempt"], row["epoch"]) for row in trained.epochs] == [
            *((attempt, epoch) for attempt in (0, 1) for epoch in (1, 2, 3, 4)),
            *((2, epoch) for epoch in (1, 2, 3, 4, 5)),
        ]
        assert {row["health"] for row in trained.epochs} == {"collapsed"}
        assert len({row["g_loss"] for row in trained.epochs if row["epoch"] == 1}) == 3
        assert len(trained.previews) == 5
        message = "class 3: collapsed after 32 images; restarting with another seed"
        assert capsys.readouterr().err.count(message) == 2

    def test_losses_that_are_not_finite_are_an_error_when_no_restart_is_left(self, replica, digits, capsys):
        with pytest.raises(
            DivergedError, match="class 3: losses or weights are no longer finite after 24 images"
        ):
            train_one(wild(replica), digits)
        assert "not finite after 24 images; restarting" in capsys.readouterr().err
