"""Update rules: the order in which the discriminator D and the generator G step.

Images are (N, C, H, W), labels (N, K) and losses scalars.
Generated images are requested with the labels of the real images of the batch, so both have the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from labelmint.gans import penalties
from labelmint.gans.objectives import DiscriminatorOutput, Objective
from labelmint.gans.settings import Family

LOSSES = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")
"""Losses of both networks, and the fractions of real and of generated images that D classifies correctly."""

TRACKED = (*LOSSES, "d_score_real", "d_score_fake", "penalty", "g_gradient")
"""LOSSES and more. d_score_*: mean logit of D; their difference is a WGAN's estimate of the distance.
penalty: sum of the penalties in D's loss. g_gradient: norm of the generator's gradient."""

G, D = "generator", "discriminator"


class Real(NamedTuple):
    """Real images, float in [-1, 1], and their labels."""

    images: torch.Tensor
    labels: torch.Tensor

    def parts(self, count: int) -> Iterator[Real]:
        """The batch in `count` parts of equal size."""
        if count == 1:
            return iter([self])
        return map(Real, self.images.chunk(count), self.labels.chunk(count))


class Gan(Protocol):
    """Both networks, their objective, and the random numbers of one step.

    anchors: (3,), the state of the LeCam penalty, which penalties.update_anchors describes.
    """

    family: Family
    objective: Objective
    anchors: torch.Tensor

    def generate(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images from fresh latents for the requested labels, and the labels that the images have."""

    def augment(self, images: torch.Tensor) -> torch.Tensor: ...

    def discriminator(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor: ...

    def uniform(self, count: int) -> torch.Tensor:
        """Random numbers in [0, 1), (count,)."""

    def gradients(self, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        """Gradients of the loss with respect to the weights of `player`. retain: keep the graph."""

    def norm(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        """L2 norm of all gradients together, a scalar."""

    def update_weights(self, player: str, gradients: list[torch.Tensor]) -> None: ...


def sequential(gan: Gan, batch: Real) -> torch.Tensor:
    """Step D on the real batch, then on a fresh generated batch; then step G against the updated D.

    Returns: the TRACKED numbers, float (len(TRACKED),), detached.
    Source: DCGAN course report, §4.2 ("train_step_slow"). Stable at 64 px, where the simultaneous rule
    collapsed.
    """
    for part in batch.parts(gan.family.n_critic):
        real = _discriminate_real(gan, part)
        d_loss_real, real_penalty = gan.objective.real(real), _real_penalty(gan, real)
        gan.update_weights(D, gan.gradients(D, _add(d_loss_real, real_penalty)))

        fake = _discriminate_fake(gan, part.labels)
        d_loss_fake, fake_penalty = gan.objective.fake(fake), _fake_penalty(gan, fake)
        gan.update_weights(D, gan.gradients(D, _add(d_loss_fake, fake_penalty)))
        _update_anchors(gan, real, fake)

    g_loss, gradients = _generator_step(gan, part)
    penalty = _sum(real_penalty, fake_penalty)
    return _tracked(gan, real, fake, (d_loss_real, d_loss_fake, g_loss), penalty, g_gradients=gradients)


def alternating(gan: Gan, batch: Real) -> torch.Tensor:
    """Step D on real and fresh generated images together; then step G against the updated D."""
    for part in batch.parts(gan.family.n_critic):
        real, fake = _discriminate_real(gan, part), _discriminate_fake(gan, part.labels)
        d_loss_real, d_loss_fake = gan.objective.discriminator(real, fake)
        penalty = _penalty(gan, real, fake)

        gan.update_weights(D, gan.gradients(D, _add(d_loss_real + d_loss_fake, penalty)))
        _update_anchors(gan, real, fake)

    g_loss, gradients = _generator_step(gan, part)
    return _tracked(gan, real, fake, (d_loss_real, d_loss_fake, g_loss), penalty, g_gradients=gradients)


def simultaneous(gan: Gan, batch: Real) -> torch.Tensor:
    """Step D and G on the same generated batch, both from the weights before the step.

    Source: DCGAN course report ("train_step_fast").
    """
    images, labels = gan.generate(batch.labels)
    real, fake = _discriminate_real(gan, batch), _discriminate(gan, images, labels, batch.labels)
    d_loss_real, d_loss_fake = gan.objective.discriminator(real, fake)
    g_loss = gan.objective.against(fake, real)

    g_gradients = gan.gradients(G, g_loss, retain=True)
    penalty = _penalty(gan, real, fake)
    d_gradients = gan.gradients(D, _add(d_loss_real + d_loss_fake, penalty))

    gan.update_weights(D, d_gradients)
    gan.update_weights(G, g_gradients)
    _update_anchors(gan, real, fake)
    return _tracked(gan, real, fake, (d_loss_real, d_loss_fake, g_loss), penalty, g_gradients=g_gradients)


UPDATES = {"sequential": sequential, "alternating": alternating, "simultaneous": simultaneous}


def _generator_step(gan: Gan, part: Real) -> tuple[torch.Tensor, list[torch.Tensor]]:
    images, labels = gan.generate(part.labels)
    fake = _discriminate(gan, images, labels, part.labels)
    if gan.objective.paired:
        loss = gan.objective.against(fake, _discriminate(gan, part.images, part.labels, part.labels))
    else:
        loss = gan.objective.generator(fake)
    gradients = gan.gradients(G, loss)
    gan.update_weights(G, gradients)
    return loss, gradients


def _discriminate(
    gan: Gan, images: torch.Tensor, labels: torch.Tensor, requested: torch.Tensor
) -> DiscriminatorOutput:
    return DiscriminatorOutput(gan.discriminator(gan.augment(images), labels), labels, requested, images)


def _discriminate_real(gan: Gan, part: Real) -> DiscriminatorOutput:
    images = part.images.detach().requires_grad_() if gan.family.r1 else part.images
    return _discriminate(gan, images, part.labels, part.labels)


def _discriminate_fake(gan: Gan, requested: torch.Tensor) -> DiscriminatorOutput:
    """D's output on fresh generated images, without a graph of the generator."""
    with torch.no_grad():
        images, labels = gan.generate(requested)
    return _discriminate(gan, images.requires_grad_(gan.family.r2 > 0), labels, requested)


def _penalty(gan: Gan, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> torch.Tensor | None:
    return _sum(_real_penalty(gan, real), _fake_penalty(gan, fake), _gradient_penalty(gan, real, fake))


def _real_penalty(gan: Gan, real: DiscriminatorOutput) -> torch.Tensor | None:
    r1, lecam, start = gan.family.r1, gan.family.lecam, gan.family.lecam_start
    return _sum(
        penalties.zero_centred(real, r1) if r1 else None,
        penalties.lecam_real(real, gan.anchors, lecam, start) if lecam else None,
    )


def _fake_penalty(gan: Gan, fake: DiscriminatorOutput) -> torch.Tensor | None:
    r2, lecam, start = gan.family.r2, gan.family.lecam, gan.family.lecam_start
    return _sum(
        penalties.zero_centred(fake, r2) if r2 else None,
        penalties.lecam_fake(fake, gan.anchors, lecam, start) if lecam else None,
    )


def _gradient_penalty(gan: Gan, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> torch.Tensor | None:
    """The penalty on images interpolated between real and generated ones (Gulrajani et al. 2017)."""
    weight = gan.family.gradient_penalty
    if not weight:
        return None
    fraction = gan.uniform(len(real.images))[:, None, None, None]
    images = torch.lerp(real.images.detach(), fake.images.detach(), fraction).requires_grad_()
    return penalties.one_centred(_discriminate(gan, images, real.labels, real.labels), weight)


def _sum(*terms: torch.Tensor | None) -> torch.Tensor | None:
    total = None
    for term in terms:
        total = term if total is None else _add(total, term)
    return total


def _add(loss: torch.Tensor, penalty: torch.Tensor | None) -> torch.Tensor:
    return loss if penalty is None else loss + penalty


def _update_anchors(gan: Gan, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> None:
    if gan.family.lecam:
        penalties.update_anchors(gan.anchors, real, fake, gan.family.lecam_start)


def _tracked(
    gan: Gan,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    losses: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    penalty: torch.Tensor | None,
    *,
    g_gradients: list[torch.Tensor],
) -> torch.Tensor:
    if gan.objective.paired:
        d_acc_real = d_acc_fake = (real.logits > fake.logits).float().mean(-1)
    else:
        d_acc_real, d_acc_fake = (real.logits > 0).float().mean(-1), (fake.logits <= 0).float().mean(-1)
    scores = real.logits.mean(-1), fake.logits.mean(-1)
    penalty = torch.zeros_like(losses[0]) if penalty is None else penalty
    numbers = [*losses, d_acc_real, d_acc_fake, *scores, penalty, gan.norm(g_gradients)]
    return torch.stack(numbers, -1).detach()
