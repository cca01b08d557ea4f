"""The first steps of every family, replayed with torch.optim, its losses and its autograd written out.

Only the networks and the random numbers are the learner's own.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labelmint.gans.initialization import spectral_layers
from labelmint.gans.settings import Family, Optimizer
from labelmint.training.settings import Training
from labelmint.training.updates import D, G
from tests.tiny_families import FAMILIES, batch, one_thread, single, train_step  # noqa: F401

SMOOTHING, EMA_WEIGHT, STEPS = 0.1, 0.25, 3


def bce(logits: torch.Tensor, target: float | torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits) + target)


@dataclass(frozen=True)
class Losses:
    """Functions of D's output, (N, heads), and the labels.

    paired: D's loss and G's, of D's outputs on real and on generated images.
    """

    real: Callable[..., torch.Tensor] = bce
    fake: Callable[..., torch.Tensor] = bce
    generator: Callable[..., torch.Tensor] = bce
    paired: tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]] | None = None


def auxiliary(target: float) -> Callable[..., torch.Tensor]:
    return lambda out, labels: bce(out[:, 0], target) + F.cross_entropy(out[:, 1:], labels.argmax(1))


def fair(target: float, leakage: float) -> Callable[..., torch.Tensor]:
    return lambda out, labels: (
        (bce(out[:, 0], target) + bce(out[:, 1], target)) / 2
        + bce(out[:, 2], labels[:, 0])
        + leakage * bce(out[:, 3], labels[:, 0])
    )


NON_SATURATING = Losses(
    lambda out, _: bce(out, 1 - SMOOTHING), lambda out, _: bce(out, 0), lambda out, _: bce(out, 1)
)
WASSERSTEIN = Losses(lambda out, _: -out.mean(), lambda out, _: out.mean(), lambda out, _: -out.mean())
LOSSES = {
    **dict.fromkeys(("vanilla", "dcgan", "cgan", "attribute_cgan"), NON_SATURATING),
    **dict.fromkeys(("wgan", "wgan_gp"), WASSERSTEIN),
    "acgan": Losses(auxiliary(1 - SMOOTHING), auxiliary(0), auxiliary(1)),
    "projection_cgan": Losses(
        lambda out, _: F.relu(1 - out).mean(), lambda out, _: F.relu(1 + out).mean(), WASSERSTEIN.generator
    ),
    "fairness_gan": Losses(fair(1 - SMOOTHING, 0), fair(0, 1), fair(1, -1)),
    "r3gan": Losses(
        paired=(
            lambda real, fake: F.softplus(fake - real).mean(),
            lambda real, fake: F.softplus(real - fake).mean(),
        )
    ),
}


def optimizer(network: nn.Module, params: Optimizer) -> torch.optim.Optimizer:
    if params.kind == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), params.learning_rate, alpha=params.beta2)
    return torch.optim.Adam(network.parameters(), params.learning_rate, (params.beta1, params.beta2))


class Reference:
    """Networks trained on the latents, and the points between images, that a learner drew."""

    def __init__(self, losses: Losses, family: Family, networks: dict[str, nn.Module]):
        self.losses, self.family = losses, family
        self.g, self.d = deepcopy(networks[G]), deepcopy(networks[D])
        self.g_optimizer = optimizer(self.g, family.generator_optimizer)
        self.d_optimizer = optimizer(self.d, family.discriminator_optimizer)
        self.average = [weight.detach().clone() for weight in self.g.parameters()]

    def step(
        self, images: torch.Tensor, labels: torch.Tensor, latents: list[torch.Tensor], points: list[Any]
    ) -> None:
        self.latents, self.points = iter(latents), iter(points)
        if self.family.update == "simultaneous":
            self.simultaneous(images, labels)
        else:
            for part, part_labels in zip(
                images.chunk(self.family.n_critic), labels.chunk(self.family.n_critic)
            ):
                self.discriminator_steps(part, part_labels)
            self.descend(self.g_optimizer, self.generator_loss(part, part_labels))
        with torch.no_grad():
            for average, weight in zip(self.average, self.g.parameters()):
                average.add_(EMA_WEIGHT * (weight - average))

    def simultaneous(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        fake, fake_labels = self.g(next(self.latents), labels)
        on_fake = self.d(fake, fake_labels)
        g_loss = self.losses.generator(on_fake, labels)
        d_loss = self.losses.real(self.d(images, labels), labels) + self.losses.fake(on_fake, labels)
        g_gradients = torch.autograd.grad(g_loss, list(self.g.parameters()), retain_graph=True)
        self.descend(self.d_optimizer, d_loss)
        for weight, gradient in zip(self.g.parameters(), g_gradients):
            weight.grad = gradient
        self.g_optimizer.step()

    def discriminator_steps(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        images = images.clone().requires_grad_()
        if self.family.update == "sequential":
            self.descend(self.d_optimizer, self.losses.real(self.d(images, labels), labels))
        with torch.no_grad():
            fake, fake_labels = self.g(next(self.latents), labels)
        fake.requires_grad_()
        on_fake = self.d(fake, fake_labels)
        if self.family.update == "sequential":
            self.descend(self.d_optimizer, self.losses.fake(on_fake, labels))
            return
        on_real = self.d(images, labels)
        if self.losses.paired:
            loss = self.losses.paired[0](on_real, on_fake)
        else:
            loss = self.losses.real(on_real, labels) + self.losses.fake(on_fake, labels)
        for weight, inputs, output in ((self.family.r1, images, on_real), (self.family.r2, fake, on_fake)):
            if weight:
                loss = loss + weight / 2 * (slopes(output, inputs) ** 2).mean()
        if self.family.gradient_penalty:
            point = next(self.points).view(-1, 1, 1, 1)
            between = ((1 - point) * images + point * fake).detach().requires_grad_()
            distances = slopes(self.d(between, labels), between) - 1
            loss = loss + self.family.gradient_penalty * (distances**2).mean()
        self.descend(self.d_optimizer, loss)

    def generator_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        on_fake = self.d(*self.g(next(self.latents), labels))
        if self.losses.paired:
            return self.losses.paired[1](self.d(images, labels), on_fake)
        return self.losses.generator(on_fake, labels)

    def descend(self, of: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        of.zero_grad()
        loss.backward()
        of.step()
        if of is self.d_optimizer:
            with torch.no_grad():
                for weight in self.d.parameters() if self.family.clip else ():
                    weight.clamp_(-self.family.clip, self.family.clip)
                for layer in spectral_layers(self.d):  # one power iteration
                    rows = layer.weight.reshape(len(layer.weight), -1)
                    right = rows.T @ layer.direction
                    left = rows @ (right / right.norm())
                    layer.direction.copy_(left / left.norm())


def slopes(output: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Norm of D's gradient at each image, (N,)."""
    (gradient,) = torch.autograd.grad(output[:, 0].sum(), images, create_graph=True)
    norms: torch.Tensor = gradient.flatten(1).norm(dim=1)
    return norms


STRONGER = {"r3gan": {"r1": 5.0, "r2": 3.0, "initialization": "glorot_uniform"}}
"""Settings with which penalties show in three steps."""
CASES = [*((name, family.update) for name, family in FAMILIES.items()), ("cgan", "simultaneous")]


@pytest.mark.parametrize(("name", "update"), CASES)
def test_the_first_steps_are_those_written_out(name, update):
    training = Training(translation=0.0)
    learner = single(name, 5, training, update=update, label_smoothing=SMOOTHING, **STRONGER.get(name, {}))
    reference = Reference(LOSSES[name], learner.family, learner.networks)
    latents: list[torch.Tensor] = []
    points: list[torch.Tensor] = []
    learner.networks[G].register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0]))
    uniform = learner.uniform

    def recorded(count: int) -> torch.Tensor:
        points.append(uniform(count))
        return points[-1]

    learner.uniform = recorded  # type: ignore[method-assign]
    for number in range(STEPS):
        given = batch(learner.family, 6, number)
        latents.clear()
        points.clear()
        train_step(learner, number, given, ema_weight=EMA_WEIGHT)
        reference.step(given.images / 127.5 - 1, given.labels, latents, points)
    for own, expected in (
        (learner.weights[G], reference.g.parameters()),
        (learner.weights[D], reference.d.parameters()),
        (learner.average, reference.average),
    ):
        for one, other in zip(own, expected, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
