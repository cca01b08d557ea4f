"""Update rules: the order of the steps. Written once for one replica and for many side by side.

Tensors may have leading dimensions, one place per replica: real: ([R,] N, C, S, S); latents: ([R,] N, z); logits: ([R,] N);
losses: ([R]).
"""

from __future__ import annotations

from typing import Protocol

import torch

from stages.train_generators.objectives import NonSaturating

LOSSES = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")
TRACKED = (*LOSSES, "g_gradient")
"""LOSSES are report B's five numbers; g_gradient is the norm of the generator's gradient."""

G, D = "generator", "discriminator"


class Players(Protocol):
    """Both networks, what they play for, and the randomness of one step."""

    objective: NonSaturating

    def latents(self, count: int) -> torch.Tensor: ...

    def augment(self, images: torch.Tensor) -> torch.Tensor: ...

    def generator(self, latents: torch.Tensor) -> torch.Tensor: ...

    def discriminator(self, images: torch.Tensor) -> torch.Tensor: ...

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        """Of the loss, in the weights of `player`."""

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        """([R])."""

    def descend(self, player: str, gradients: list[torch.Tensor]) -> None: ...


def sequential(players: Players, real: torch.Tensor) -> torch.Tensor:
    """D learns from the real batch, then from a fresh fake batch; then G learns through the updated D.

    real: in [-1, 1]. Returns: float ([R,] 6), the TRACKED numbers, detached.
    Source: report B, §4.2 ("train_step_slow"), stable at 64 px where the simultaneous rule collapsed.
    """
    count = real.shape[-4]
    logits_real = players.discriminator(players.augment(real))
    d_loss_real = players.objective.real(logits_real)
    players.descend(D, players.gradients(D, d_loss_real))

    with torch.no_grad():
        fake = players.generator(players.latents(count))
    logits_fake = players.discriminator(players.augment(fake))
    d_loss_fake = players.objective.fake(logits_fake)
    players.descend(D, players.gradients(D, d_loss_fake))

    fake = players.generator(players.latents(count))
    g_loss = players.objective.generator(players.discriminator(players.augment(fake)))
    gradients = players.gradients(G, g_loss)
    players.descend(G, gradients)
    return _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake, players.norm(gradients))


def simultaneous(players: Players, real: torch.Tensor) -> torch.Tensor:
    """One fake batch serves both players, and both step from the same weights (report B's "train_step_fast")."""
    fake = players.generator(players.latents(real.shape[-4]))
    logits_real = players.discriminator(players.augment(real))
    logits_fake = players.discriminator(players.augment(fake))
    d_loss_real, d_loss_fake = players.objective.real(logits_real), players.objective.fake(logits_fake)
    g_loss = players.objective.generator(logits_fake)
    of_g = players.gradients(G, g_loss, retain=True)
    of_d = players.gradients(D, d_loss_real + d_loss_fake)
    players.descend(D, of_d)
    players.descend(G, of_g)
    return _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake, players.norm(of_g))


def _tracked(d_loss_real, d_loss_fake, g_loss, logits_real, logits_fake, norm) -> torch.Tensor:
    accuracies = (logits_real > 0).float().mean(-1), (logits_fake <= 0).float().mean(-1)
    return torch.stack([d_loss_real, d_loss_fake, g_loss, *accuracies, norm], -1).detach()


UPDATES = {"sequential": sequential, "simultaneous": simultaneous}
