"""Update rules: the order of the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from stages.train_generators.objectives import NonSaturating

TRACKED = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")


@dataclass
class Players:
    """Both networks with their optimizers, and what they play for."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    objective: NonSaturating


@dataclass(frozen=True)
class Draws:
    """The randomness of one step. latents(n): (n, latent_size); augment(images): images; rng: for D's own noise."""

    latents: Callable[[int], torch.Tensor]
    augment: Callable[[torch.Tensor], torch.Tensor]
    rng: torch.Generator


def sequential(players: Players, real: torch.Tensor, draws: Draws) -> torch.Tensor:
    """D learns from the real batch, then from a fresh fake batch; then G learns through the updated D.

    real: float (N, C, S, S) in [-1, 1]. Returns: float (5,), the TRACKED numbers, detached.
    Source: report B, §4.2 ("train_step_slow"), stable at 64 px where the simultaneous rule collapsed.
    """
    logits_real = players.discriminator(draws.augment(real), draws.rng)
    d_loss_real = players.objective.real(logits_real)
    _descend(players.discriminator_optimizer, d_loss_real)

    with torch.no_grad():
        fake = players.generator(draws.latents(len(real)))
    logits_fake = players.discriminator(draws.augment(fake), draws.rng)
    d_loss_fake = players.objective.fake(logits_fake)
    _descend(players.discriminator_optimizer, d_loss_fake)

    players.discriminator.requires_grad_(False)  # G's step needs no gradient of D's weights
    fake = players.generator(draws.latents(len(real)))
    g_loss = players.objective.generator(players.discriminator(draws.augment(fake), draws.rng))
    _descend(players.generator_optimizer, g_loss)
    players.discriminator.requires_grad_(True)

    return _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake)


def simultaneous(players: Players, real: torch.Tensor, draws: Draws) -> torch.Tensor:
    """One fake batch serves both players, and both step from the same weights (report B's "train_step_fast")."""
    fake = players.generator(draws.latents(len(real)))
    logits_real = players.discriminator(draws.augment(real), draws.rng)
    logits_fake = players.discriminator(draws.augment(fake), draws.rng)
    d_loss_real, d_loss_fake = players.objective.real(logits_real), players.objective.fake(logits_fake)
    g_loss = players.objective.generator(logits_fake)

    weights = list(players.generator.parameters())
    gradients = torch.autograd.grad(g_loss, weights, retain_graph=True)
    players.discriminator_optimizer.zero_grad()
    (d_loss_real + d_loss_fake).backward(inputs=list(players.discriminator.parameters()))
    for weight, gradient in zip(weights, gradients):
        weight.grad = gradient
    players.discriminator_optimizer.step()
    players.generator_optimizer.step()

    return _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake)


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake) -> torch.Tensor:
    accuracies = (logits_real > 0).float().mean(), (logits_fake <= 0).float().mean()
    return torch.stack([d_loss_real, d_loss_fake, g_loss, *accuracies]).detach()


UPDATES = {"sequential": sequential, "simultaneous": simultaneous}
