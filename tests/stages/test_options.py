"""Options combine with every family: each trains with each, and none is ignored in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from labelmint.gans import registry
from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from labelmint.training.settings import Training
from labelmint.training.team import Single
from labelmint.training.optimizers import ema_weight
from labelmint.training.updates import D, G
from tests.conftest import CPU
from tests.stages.tiny import FAMILIES, SHAPE, batch, label_length, one_thread  # noqa: F401

NAMES = [*FAMILIES, "vanilla"]
_PLAIN = Training(translation=0.0, ema_half_life=0, batch_size=6)


def family_of(name: str) -> Family:
    if name != "vanilla":
        return FAMILIES[name]
    mlp = replace(FAMILIES["dcgan"].generator, kind="mlp", units=[8]), replace(FAMILIES["dcgan"].discriminator, kind="mlp", units=[8])  # fmt: skip
    return replace(FAMILIES["dcgan"], generator=mlp[0], discriminator=mlp[1])


def of_d(**changes: Any):
    return lambda family: replace(family, discriminator=replace(family.discriminator, **changes))


def of_g(**changes: Any):
    return lambda family: replace(family, generator=replace(family.generator, **changes))


def of_family(**changes: Any):
    return lambda family: replace(family, **changes)


OPTIONS = {
    "noise on images": of_d(input_noise=0.1),
    "activation noise": of_d(block_noise=0.1),
    "dropout": of_d(block_dropout=0.3),
    "head dropout": of_d(head_dropout=0.3),
    "head noise": of_d(head_noise=0.3),
    "mini-batch standard deviation": of_d(minibatch_std=True),
    "SELU in G": of_g(activation="selu"),
    "SELU in D": of_d(activation="selu"),
    "R1": of_family(r1=1.0),
    "R2": of_family(r2=1.0),
    "LeCam": of_family(lecam=1.0),
    "uniform latents": of_family(latent_distribution="uniform"),
    "latent size": of_family(latent_size=9),
    "initialization": lambda family: replace(
        family, initialization="normal" if family.initialization == "glorot_uniform" else "glorot_uniform"
    ),
}
TRAINING = {
    "translation": replace(_PLAIN, translation=0.2),
    "cutout": replace(_PLAIN, cutout=0.4),
    "brightness": replace(_PLAIN, brightness=0.5),
    "contrast": replace(_PLAIN, contrast=0.5),
    "rotation": replace(_PLAIN, rotation=20.0),
}


def trained(name: str, family: Family, training: Training = _PLAIN, share: float = 1.0, average: float = 1.0):
    """Weights of both players, and the published average, after three steps."""
    single = Single(
        name, family, training, SHAPE, labels=label_length(family), seed=3, mirrored=False, device=CPU
    )
    for number in range(3):
        single.train_step(number, batch(family, 6, number), share, average)
    assert all(torch.isfinite(weight).all() for player in (G, D) for weight in single.weights[player])
    return [torch.cat([weight.detach().flatten() for weight in weights]) for weights in (single.weights[G], single.weights[D], single.average)]  # fmt: skip


def differ(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape != second.shape or not torch.allclose(first, second, atol=1e-7)


@pytest.fixture(scope="module", params=NAMES)
def plain(request):
    family = family_of(request.param)
    return request.param, family, trained(request.param, family)


@pytest.mark.parametrize("option", OPTIONS)
def test_of_a_family_trains_and_counts(plain, option):
    name, family, weights = plain
    if option == "R2" and family.r2 or option == "R1" and family.r1:
        family = replace(family, r1=0.0, r2=0.0)
        weights = trained(name, family)
    changed = trained(name, OPTIONS[option](family))
    assert any(differ(*pair) for pair in zip(weights, changed))


@pytest.mark.parametrize("option", TRAINING)
def test_of_training_trains_and_counts(plain, option):
    name, family, weights = plain
    assert differ(weights[1], trained(name, family, TRAINING[option])[1])


def test_the_average_and_the_rates_schedule(plain):
    """EMA publishes other weights and trains the same; a share of the learning rate moves them less."""
    name, family, weights = plain
    assert not differ(weights[0], weights[2])  # an average of the newest alone
    averaged = trained(name, family, average=ema_weight(100, 6, 60))
    assert not differ(averaged[0], weights[0]) and differ(averaged[2], weights[2])
    still = trained(name, family, share=0.0)
    begun = Single(
        name, family, _PLAIN, SHAPE, labels=label_length(family), seed=3, mirrored=False, device=CPU
    )
    assert torch.equal(still[0], torch.cat([weight.detach().flatten() for weight in begun.weights[G]]))


@pytest.mark.parametrize("update", ["sequential", "alternating", "simultaneous"])
def test_every_update_rule_trains_or_says_why_not(plain, update):
    name, family, weights = plain
    steps = 1 if update == "simultaneous" else family.n_critic
    try:
        other = replace(family, update=update, n_critic=steps)
        registry.check(name, other, ["Male", "Smiling", "Young"])
    except (ValueError, InputError) as error:
        assert update == "sequential" and name in ("r3gan", "wgan_gp"), error
        assert "needs update: alternating or simultaneous" in str(error)
        return
    if update != family.update:
        assert any(differ(*pair) for pair in zip(weights, trained(name, other)))


@pytest.mark.parametrize("name", NAMES)
def test_label_smoothing_softens_a_target_or_is_refused(name):
    family = replace(family_of(name), label_smoothing=0.2)
    if registry.load(name).objective(family).has_target:
        registry.check(name, family, ["Male", "Smiling", "Young"])
        assert differ(trained(name, family)[1], trained(name, family_of(name))[1])
    else:
        assert name in ("projection_cgan", "wgan", "wgan_gp", "r3gan")
        with pytest.raises(InputError, match=f"families.{name}: its objective has no target that label_smoothing"):
            registry.check(name, family, ["Male", "Smiling", "Young"])
