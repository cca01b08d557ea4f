"""Options combine with every family: each trains with each option, and none is ignored silently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from labelmint.gans import registry
from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from labelmint.training.engine.optimizers import ema_weight
from labelmint.training.settings import Training
from labelmint.training.updates import D, G
from tests.tiny_families import FAMILIES, batch, build, one_thread, train_step  # noqa: F401

_PLAIN = Training(translation=0.0, ema_half_life=0, batch_size=6)
_ATTRIBUTES = ["Male", "Smiling", "Young"]


def change_d(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, discriminator=replace(family.discriminator, **changes))


def change_g(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, generator=replace(family.generator, **changes))


def change(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, **changes)


def other_initialization(family: Family) -> Family:
    normal = family.initialization == "glorot_uniform"
    return replace(family, initialization="normal" if normal else "glorot_uniform")


OPTIONS = {
    "noise on images": change_d(input_noise=0.1),
    "activation noise": change_d(block_noise=0.1),
    "dropout": change_d(block_dropout=0.3),
    "head dropout": change_d(head_dropout=0.3),
    "head noise": change_d(head_noise=0.3),
    "minibatch standard deviation": change_d(minibatch_std=True),
    "SELU in G": change_g(activation="selu"),
    "SELU in D": change_d(activation="selu"),
    "R1": change(r1=1.0),
    "R2": change(r2=1.0),
    "LeCam": change(lecam=1.0),
    "uniform latents": change(latent_distribution="uniform"),
    "latent size": change(latent_size=9),
    "initialization": other_initialization,
}
HIDING: dict[str, dict[str, float]] = {
    **dict.fromkeys(("R1", "R2"), {"r1": 0.0, "r2": 0.0}),
    "LeCam": {"clip": 0.0},
}
"""Settings that would hide an option's effect; clipped logits are all near 0."""
TRAINING = {
    "translation": replace(_PLAIN, translation=0.2),
    "cutout": replace(_PLAIN, cutout=0.4),
    "brightness": replace(_PLAIN, brightness=0.5),
    "contrast": replace(_PLAIN, contrast=0.5),
    "rotation": replace(_PLAIN, rotation=20.0),
}


def flat(weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in weights])


def train(
    name: str, family: Family, training: Training = _PLAIN, rate_factor: float = 1.0, ema: float = 1.0
) -> list[torch.Tensor]:
    """Weights of G, of D, and the average of G's, after two steps."""
    replica = build(name, family, training, seed=3)
    for number in range(2):
        train_step(replica, number, batch(family, 6, number), rate_factor, ema)
    assert all(torch.isfinite(weight).all() for player in (G, D) for weight in replica.weights[player])
    return [flat(replica.weights[G]), flat(replica.weights[D]), flat(replica.average)]


def differ(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape != second.shape or not torch.allclose(first, second, atol=1e-7)


@pytest.fixture(scope="module", params=FAMILIES)
def plain(request):
    family = FAMILIES[request.param]
    return request.param, family, train(request.param, family)


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_a_family_train_and_have_an_effect(plain, option):
    name, family, weights = plain
    without: Family = replace(family, **HIDING.get(option, {}))
    if without != family:
        family, weights = without, train(name, without)
    changed = train(name, OPTIONS[option](family))
    assert any(differ(*pair) for pair in zip(weights, changed))


@pytest.mark.parametrize("option", TRAINING)
def test_options_of_training_train_and_have_an_effect(plain, option):
    name, family, weights = plain
    assert differ(weights[1], train(name, family, TRAINING[option])[1])


def test_ema_changes_only_the_published_weights(plain):
    name, family, weights = plain
    assert not differ(weights[0], weights[2])  # without EMA the average is the last weights
    averaged = train(name, family, ema=ema_weight(100, 6, 60))
    assert not differ(averaged[0], weights[0])
    assert differ(averaged[2], weights[2])


def test_a_learning_rate_of_0_changes_no_weight(plain):
    name, family, _ = plain
    initial = build(name, family, _PLAIN, seed=3)
    assert torch.equal(train(name, family, rate_factor=0.0)[0], flat(initial.weights[G]))


@pytest.mark.parametrize("update", ["sequential", "alternating", "simultaneous"])
def test_every_update_rule_trains_or_is_refused(plain, update):
    name, family, weights = plain
    n_critic = 1 if update == "simultaneous" else family.n_critic
    if update == "sequential" and name in ("r3gan", "wgan_gp"):
        with pytest.raises((ValueError, InputError), match="needs update: alternating or simultaneous"):
            registry.check(name, replace(family, update=update), _ATTRIBUTES)
        return
    other = replace(family, update=update, n_critic=n_critic)
    registry.check(name, other, _ATTRIBUTES)
    if update != family.update:
        assert any(differ(*pair) for pair in zip(weights, train(name, other)))


@pytest.mark.parametrize("name", FAMILIES)
def test_label_smoothing_lowers_a_target_or_is_refused(name):
    family = replace(FAMILIES[name], label_smoothing=0.2)
    if name in ("projection_cgan", "wgan", "wgan_gp", "r3gan"):
        with pytest.raises(InputError, match=f"families.{name}: its objective has no target that label_sm"):
            registry.check(name, family, _ATTRIBUTES)
    else:
        registry.check(name, family, _ATTRIBUTES)
        assert differ(train(name, family)[1], train(name, FAMILIES[name])[1])
