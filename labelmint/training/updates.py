"""Update rules: the order of the steps. Written once for one replica and for many side by side.

Tensors may have leading dimensions, one place per replica: images: ([R,] N, C, S, S); labels: ([R,] N, K); losses: ([R]).
Minted images are asked for with the labels of the real images beside them, so that both have the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from labelmint.gans import penalties
from labelmint.gans.objectives import Judged, Objective
from labelmint.gans.settings import Family

LOSSES = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")
TRACKED = (*LOSSES, "d_score_real", "d_score_fake", "penalty", "g_gradient")
"""LOSSES are report B's five numbers. d_score_*: mean output of D, whose difference is the Wasserstein estimate of a WGAN;
penalty: all that D pays besides its objective; g_gradient: norm of the generator's gradient."""

G, D = "generator", "discriminator"


class Real(NamedTuple):
    """Real images in [-1, 1] and their labels."""

    images: torch.Tensor
    labels: torch.Tensor

    def parts(self, count: int) -> Iterator[Real]:
        """The batch in `count` equal parts."""
        if count == 1:
            return iter([self])
        each = self.images.shape[-4] // count
        return map(Real, self.images.split(each, -4), self.labels.split(each, -2))


class Players(Protocol):
    """Both networks, what they play for, and the randomness of one step.

    anchors: ([R,] 2), moving averages of what D says of real and of minted images.
    """

    family: Family
    objective: Objective
    anchors: torch.Tensor

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images from fresh latents, and the labels that they are to have."""

    def augment(self, images: torch.Tensor) -> torch.Tensor: ...

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

    def uniform(self, count: int) -> torch.Tensor:
        """([R,] count) in [0, 1)."""

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        """Of the loss, in the weights of `player`."""

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        """([R])."""

    def step(self, player: str, gradients: list[torch.Tensor]) -> None: ...


def sequential(players: Players, batch: Real) -> torch.Tensor:
    """D learns from the real batch, then from a fresh fake batch; then G learns through the updated D.

    Returns: float ([R,] len(TRACKED)), detached.
    Source: report B, §4.2 ("train_step_slow"), stable at 64 px where the simultaneous rule collapsed.
    """
    for part in batch.parts(players.family.n_critic):
        real = _judge_real(players, part)
        d_loss_real, paid_real = players.objective.real(real), _paid_on_real(players, real)
        players.step(D, players.gradients(D, _sum(d_loss_real, paid_real)))
        fake = _judge_minted(players, part.labels)
        d_loss_fake, paid_fake = players.objective.fake(fake), _paid_on_fake(players, fake)
        players.step(D, players.gradients(D, _sum(d_loss_fake, paid_fake)))
        _remember(players, real, fake)
    g_loss, gradients = _generator_step(players, part)
    return _tracked(players, real, fake, d_loss_real, d_loss_fake, _sum(paid_real, paid_fake), g_loss, gradients)


def alternating(players: Players, batch: Real) -> torch.Tensor:
    """D learns from real and fresh fake images at once; then G learns from fresh ones through the updated D."""
    for part in batch.parts(players.family.n_critic):
        real, fake = _judge_real(players, part), _judge_minted(players, part.labels)
        d_loss_real, d_loss_fake = players.objective.discriminator(real, fake)
        paid = _sum(_paid_on_real(players, real), _paid_on_fake(players, fake), _paid_between(players, real, fake))
        players.step(D, players.gradients(D, _sum(d_loss_real, d_loss_fake, paid)))
        _remember(players, real, fake)
    g_loss, gradients = _generator_step(players, part)
    return _tracked(players, real, fake, d_loss_real, d_loss_fake, paid, g_loss, gradients)


def simultaneous(players: Players, batch: Real) -> torch.Tensor:
    """One fake batch serves both players, and both step from the same weights (report B's "train_step_fast")."""
    minted, labels = players.generate(batch.labels)
    real, fake = _judge_real(players, batch), _judge(players, minted, labels, batch.labels)
    d_loss_real, d_loss_fake = players.objective.discriminator(real, fake)
    g_loss = players.objective.against(fake, real)
    of_g = players.gradients(G, g_loss, retain=True)
    paid = _sum(_paid_on_real(players, real), _paid_on_fake(players, fake), _paid_between(players, real, fake))
    of_d = players.gradients(D, _sum(d_loss_real, d_loss_fake, paid))
    players.step(D, of_d)
    players.step(G, of_g)
    _remember(players, real, fake)
    return _tracked(players, real, fake, d_loss_real, d_loss_fake, paid, g_loss, of_g)


def _judge(players: Players, images: torch.Tensor, labels: torch.Tensor, requested: torch.Tensor) -> Judged:
    seen = players.augment(images)
    return Judged(players.discriminator(seen, labels), labels, requested, seen)


def _judge_real(players: Players, part: Real) -> Judged:
    seen = players.augment(part.images)
    if players.family.r1:
        seen = seen.detach().requires_grad_()
    return Judged(players.discriminator(seen, part.labels), part.labels, part.labels, seen)


def _judge_minted(players: Players, requested: torch.Tensor) -> Judged:
    with torch.no_grad():
        images, labels = players.generate(requested)
        seen = players.augment(images)
    if players.family.r2:
        seen.requires_grad_()
    return Judged(players.discriminator(seen, labels), labels, requested, seen)


def _generator_step(players: Players, part: Real) -> tuple[torch.Tensor, list[torch.Tensor]]:
    images, labels = players.generate(part.labels)
    fake = _judge(players, images, labels, part.labels)
    if players.objective.paired:
        loss = players.objective.against(fake, _judge(players, part.images, part.labels, part.labels))
    else:
        loss = players.objective.generator(fake)
    gradients = players.gradients(G, loss)
    players.step(G, gradients)
    return loss, gradients


def _paid_on_real(players: Players, real: Judged) -> torch.Tensor | None:
    r1, lecam = players.family.r1, players.family.lecam
    return _sum(
        penalties.zero_centred(real, r1) if r1 else None,
        penalties.lecam_real(real, players.anchors, lecam) if lecam else None,
    )


def _paid_on_fake(players: Players, fake: Judged) -> torch.Tensor | None:
    r2, lecam = players.family.r2, players.family.lecam
    return _sum(
        penalties.zero_centred(fake, r2) if r2 else None,
        penalties.lecam_fake(fake, players.anchors, lecam) if lecam else None,
    )


def _paid_between(players: Players, real: Judged, fake: Judged) -> torch.Tensor | None:
    weight = players.family.gradient_penalty
    if not weight:
        return None
    share = players.uniform(real.images.shape[-4])[..., None, None, None]
    images = torch.lerp(real.images.detach(), fake.images.detach(), share).requires_grad_()
    outputs = players.discriminator(images, real.labels)
    return penalties.one_centred(Judged(outputs, real.labels, real.labels, images), weight)


def _sum(*terms: torch.Tensor | None) -> torch.Tensor | None:
    given = [term for term in terms if term is not None]
    return sum(given[1:], given[0]) if given else None


@torch.no_grad()
def _remember(players: Players, real: Judged, fake: Judged) -> None:
    if players.family.lecam:
        said = torch.stack([real.source.mean(-1), fake.source.mean(-1)], -1)
        players.anchors.lerp_(said, 1 - penalties.ANCHOR_DECAY)


def _tracked(
    players: Players, real: Judged, fake: Judged, d_loss_real: torch.Tensor, d_loss_fake: torch.Tensor,
    paid: torch.Tensor | None, g_loss: torch.Tensor, gradients: list[torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    if players.objective.paired:
        right_real = right_fake = (real.source > fake.source).float().mean(-1)
    else:
        right_real, right_fake = (real.source > 0).float().mean(-1), (fake.source <= 0).float().mean(-1)
    scores = real.source.mean(-1), fake.source.mean(-1)
    paid = torch.zeros_like(g_loss) if paid is None else paid
    numbers = [d_loss_real, d_loss_fake, g_loss, right_real, right_fake, *scores, paid, players.norm(gradients)]
    return torch.stack(numbers, -1).detach()


UPDATES = {"sequential": sequential, "alternating": alternating, "simultaneous": simultaneous}
