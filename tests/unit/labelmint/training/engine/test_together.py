"""Learners that step together: a replayed step is the step itself, for all families, options and rules."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.gans import registry
from labelmint.runtime.errors import InputError
from labelmint.training.engine.optimizers import ema_weight
from labelmint.training.engine.step_inputs import StepInput
from labelmint.training.engine.together import Together
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.run import Run, Setup
from labelmint.training.trainer import train
from tests.conftest import CPU, equal
from tests.tape import IllegalError, Tape
from tests.tiny_families import FAMILIES, LABELS, SHAPE, batch, build, one_thread  # noqa: F401
from tests.unit.labelmint.families.test_options import _ATTRIBUTES, _PLAIN, OPTIONS

FULL = replace(
    _PLAIN, translation=0.2, cutout=0.4, brightness=0.5, contrast=0.5, saturation=0.5, rotation=20.0
)
TOGETHER = Setup(at_once=None, graph_class=Tape)
STEPS = 4
"""One to warm up, the captured one, and two replays."""
pytestmark = pytest.mark.usefixtures("short_warm_up")


class Fed:
    """A learner whose images come from a tensor that the host writes before each step."""

    def __init__(self, learner: GanLearner, first: int = 0):
        self.learner, self.number = learner, first
        self.given = batch(learner.family, 6, first)
        self.images = StepInput(tuple(self.given.images.shape), torch.uint8, CPU)

    def prepare(self) -> None:
        number = self.number
        self.images.write(batch(self.learner.family, 6, number).images.numpy())
        self.learner.prepare(number, 1 - number / 50, ema_weight(50, 6, 6 * (number + 1)))
        self.number += 1

    def step(self) -> None:
        self.learner.step(Batch(self.images.values, self.given.labels, self.given.mirrored))


def tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state.detach().clone()]
    parts = state.values() if isinstance(state, dict) else state
    return [tensor for part in parts for tensor in tensors(part)]


def trained(learner: GanLearner, graph_class: type[Tape] | None) -> list[torch.Tensor]:
    together = Together(CPU, graph_class)
    together.set_learners([Fed(learner)])
    for _ in range(STEPS):
        together.step()
    assert together.captured == (graph_class is not None)
    return tensors(learner.state())


def cases() -> list[Any]:
    found = []
    for name, family in FAMILIES.items():
        found += [pytest.param(name, family, _PLAIN, id=f"{name}: plain")]
        found += [pytest.param(name, family, FULL, id=f"{name}: all augmentations")]
        for option, change in OPTIONS.items():
            try:
                found.append(pytest.param(name, change(family), _PLAIN, id=f"{name}: {option}"))
            except ValueError:  # a combination that the settings refuse
                continue
        for update in ("sequential", "alternating", "simultaneous"):
            n_critic = 1 if update == "simultaneous" else family.n_critic
            try:
                other = replace(family, update=update, n_critic=n_critic)
                registry.check(name, other, _ATTRIBUTES)
            except (ValueError, InputError):
                continue
            if other != family:  # otherwise it is the plain case
                found.append(pytest.param(name, other, _PLAIN, id=f"{name}: {update}"))
    return found


@pytest.mark.parametrize(("name", "family", "training"), cases())
def test_replayed_steps_are_the_steps_themselves(name, family, training):
    eager, replayed = (
        trained(build(name, family, training, seed=3), graph_class) for graph_class in (None, Tape)
    )
    assert all(torch.equal(*pair) for pair in zip(eager, replayed, strict=True))


def test_a_value_that_python_keeps_is_frozen_by_a_replay(monkeypatch):
    """The negative control: with keys in Python, replayed steps are not the steps themselves."""
    from labelmint.random_streams import Stream, fold

    def stream(self: Any, number: int) -> Stream:
        return Stream(fold(self.key, number))

    monkeypatch.setattr("labelmint.training.engine.step_inputs.StepDraws.stream", stream)
    eager, replayed = (trained(build("dcgan", FAMILIES["dcgan"], _PLAIN, 3), each) for each in (None, Tape))
    assert not all(torch.equal(*pair) for pair in zip(eager, replayed, strict=True))


def test_a_step_that_waits_for_the_device_is_illegal():
    class Waiting(Fed):
        def step(self) -> None:
            super().step()
            self.learner.sums[0].item()

    together = Together(CPU, Tape)
    together.set_learners([Waiting(build("dcgan", FAMILIES["dcgan"], _PLAIN, 3))])
    together.step()
    with pytest.raises(IllegalError, match="_local_scalar_dense"):
        together.step()


def test_mixed_learners_at_their_own_steps_leave_one_by_one():
    """Each equals itself trained alone."""
    kinds = [("dcgan", 1, 0, 9), ("projection_cgan", 2, 5, 3), ("wgan_gp", 3, 0, 6)]
    alone, members = [], []
    for name, seed, first, count in kinds:
        fed = Fed(build(name, FAMILIES[name], FULL, seed), first)
        for _ in range(count):
            fed.prepare()
            fed.step()
        alone.append(tensors(fed.learner.state()))
        members.append(Fed(build(name, FAMILIES[name], FULL, seed), first))
    together, active = Together(CPU, Tape), list(members)
    together.set_learners(active)
    while active:
        together.step()
        ends = {id(member): first + count for member, (_, _, first, count) in zip(members, kinds)}
        remaining = [member for member in active if member.number < ends[id(member)]]
        if len(remaining) < len(active):
            assert together.captured, "the last step before one leaves is a replay"
            active = remaining
            together.set_learners(active)
    for member, expected in zip(members, alone, strict=True):
        found = tensors(member.learner.state())
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.fixture
def replicas(replica):
    """Three replicas with different sizes, step counts, seeds and permissions to flip. None restarts."""
    training = replace(replica.training, images_per_epoch=None, batch_size=4, epochs=3, restarts=0)
    return [
        replace(
            replica,
            name=str(seed),
            seed=seed,
            rows=replica.rows[: 4 * min(seed, 2)],
            mirrored=seed == 2,
            training=training,
        )
        for seed in (1, 2, 3)
    ]


class TestTrainer:
    def test_together_gives_the_weights_of_one_by_one(self, replicas, digits):
        apart, together = dict(train(replicas, digits)), dict(train(replicas, digits, TOGETHER))
        assert apart.keys() == together.keys()
        assert all(equal(apart[position], together[position]) for position in apart)
        for position, each in apart.items():
            assert np.array_equal(each.previews, together[position].previews)

    def test_streamed_images_give_the_same_weights(self, replicas, digits):
        apart, streamed = (
            dict(train(replicas, digits, replace(TOGETHER, resident_bytes=size))) for size in (1 << 30, 0)
        )
        assert all(equal(apart[position], streamed[position]) for position in apart)

    def test_interrupted_together_they_resume_one_by_one(self, replicas, digits, tmp_path, monkeypatch):
        uninterrupted = dict(train(replicas, digits, TOGETHER))
        saving = [replace(each, checkpoints=tmp_path / each.name) for each in replicas]
        prepare = Run.prepare

        def prepare_and_interrupt(self):
            prepare(self)
            if self.steps_done == 2 and self.replica.name == "2":
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "prepare", prepare_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                list(train(saving, digits, TOGETHER))
        assert (tmp_path / "3" / "000-000000000003.pt").exists()
        resumed = dict(train(saving, digits))
        assert all(equal(trained, uninterrupted[position]) for position, trained in resumed.items())

    def test_one_that_restarts_goes_on_beside_the_others(self, replicas, digits, monkeypatch):
        once = replicas[1]
        replicas = [replace(each, training=replace(each.training, restarts=1)) for each in replicas]
        must_restart = Run.must_restart
        restarted: list[str] = []

        def first_of_the_second(self):
            if self.replica.name == "2" and not restarted:
                restarted.append(self.replica.name)
                return True
            return must_restart(self)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "must_restart", first_of_the_second)
            together = dict(train(replicas, digits, TOGETHER))
        assert [row["attempt"] for row in together[1].epochs] == [0, 1, 1, 1]
        assert equal(together[0], dict(train(replicas[:1], digits))[0])
        assert equal(together[2], dict(train(replicas[2:], digits))[0])
        assert not equal(together[1], dict(train([once], digits))[0])  # another seed


class TooSmall(Tape):
    """A device that holds the graph of at most `largest` learners."""

    largest = 1
    learners = 0

    def capture(self, run):
        if len(run.__self__.learners) > self.largest:
            run.__self__.learners[0].step()  # an unfinished step has changed weights
            raise torch.OutOfMemoryError("CUDA out of memory")
        super().capture(run)


class TestOutOfMemory:
    @pytest.mark.parametrize("largest", [1, 2])
    def test_the_group_is_halved_and_the_weights_are_the_same(
        self, replicas, digits, largest, monkeypatch, capsys
    ):
        monkeypatch.setattr(TooSmall, "largest", largest)
        long = [
            replace(each, training=replace(each.training, images_per_epoch=24, epochs=1)) for each in replicas
        ]
        apart = dict(train(long, digits))
        together = dict(train(long, digits, replace(TOGETHER, graph_class=TooSmall)))
        assert all(equal(apart[position], together[position]) for position in apart)
        message = "cpu: out of memory with 3 generators at once; going on with 1"
        assert capsys.readouterr().err.count(message) == 1

    def test_too_little_for_one_is_one_clear_line(self, replicas, digits, monkeypatch):
        monkeypatch.setattr(TooSmall, "largest", 0)
        long = [replace(replicas[0], training=replace(replicas[0].training, images_per_epoch=24))]
        with pytest.raises(InputError, match="compute.device: cpu has too little memory for one of the gen"):
            list(train(long, digits, replace(TOGETHER, graph_class=TooSmall)))


def test_bf16_is_near(replica, digits):
    ((_, plain),) = train([replica], digits)
    ((_, short),) = train([replica], digits, Setup(bf16=True))
    for ours, theirs in zip(plain.epochs, short.epochs, strict=True):
        assert ours["d_loss_real"] == pytest.approx(theirs["d_loss_real"], abs=0.05)
        assert ours["g_loss"] != theirs["g_loss"]
