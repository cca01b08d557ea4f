"""Objectives: pure functions of a discriminator's output, each a mean over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F


class DiscriminatorOutput(NamedTuple):
    """Outputs of D for a batch, and what they belong to.

    outputs: (N, heads). labels: (N, K), those of the images. requested: the same, those that G was
    given.
    images: (N, C, S, S), before augmentation.
    """

    outputs: torch.Tensor
    labels: torch.Tensor
    requested: torch.Tensor
    images: torch.Tensor

    @property
    def logits(self) -> torch.Tensor:
        """(N,): large for images that look real."""
        return self.outputs[..., 0]


class Objective:
    """The losses of both networks.

    paired: D compares real with generated images, so it needs both at once.
    saturates: a D that is always right leaves G no gradient.
    has_target: D's logits for real images have a target, which label smoothing can lower.
    """

    paired = False
    saturates = False
    has_target = False

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        """D's loss on real images, a scalar."""
        raise NotImplementedError

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        """D's loss on generated images."""
        raise NotImplementedError

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        """G's loss on generated images."""
        raise NotImplementedError

    def discriminator(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """D's losses on real and on generated images."""
        return self.real(real), self.fake(fake)

    def against(self, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> torch.Tensor:
        """G's loss where the objective is paired."""
        return self.generator(fake)


@dataclass(frozen=True)
class NonSaturating(Objective):
    """-log D on real and -log(1 - D) on fake for D; -log D on fake for G (Goodfellow et al. 2014, §3).

    label_smoothing: the target of real images is 1 - label_smoothing (Salimans et al. 2016, §3.4).
    """

    label_smoothing: float = 0.0
    saturates = True
    has_target = True

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        # softplus(-x) is the loss for target 1; each unit of smoothing lowers the target and adds x.
        return (F.softplus(-real.logits) + self.label_smoothing * real.logits).mean(-1)

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return F.softplus(fake.logits).mean(-1)

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return F.softplus(-fake.logits).mean(-1)


class Hinge(Objective):
    """max(0, 1 - D) on real and max(0, 1 + D) on fake for D; -D on fake for G (Lim and Ye 2017)."""

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        return F.relu(1 - real.logits).mean(-1)

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return F.relu(1 + fake.logits).mean(-1)

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return -fake.logits.mean(-1)


class Wasserstein(Objective):
    """-D on real and D on fake for D; -D on fake for G (Arjovsky et al. 2017).

    The sum of D's losses is the negated estimate of the Wasserstein distance.
    """

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        return -real.logits.mean(-1)

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return fake.logits.mean(-1)

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return -fake.logits.mean(-1)


class Relativistic(Objective):
    """softplus(D(fake) - D(real)) for D, each real image paired with a generated one; the opposite for G.

    Sources: Jolicoeur-Martineau 2019; Huang et al. 2024. D's loss is split evenly between real and fake.
    """

    paired = True

    def discriminator(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[torch.Tensor, torch.Tensor]:
        half = F.softplus(fake.logits - real.logits).mean(-1) / 2
        return half, half

    def against(self, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> torch.Tensor:
        return F.softplus(real.logits - fake.logits).mean(-1)


class Auxiliary(Objective):
    """Another objective plus the classification of all images by D, which G supports (Odena et al. 2017).

    Outputs after the first are one logit per label: of a softmax, or of independent sigmoids if `multi_hot`.
    weight, generator_weight: of the classification loss in D's and in G's objective.
    """

    def __init__(
        self, base: Objective, multi_hot: bool = False, weight: float = 1.0, generator_weight: float = 1.0
    ):
        self.base, self.multi_hot = base, multi_hot
        self.weight, self.generator_weight = weight, generator_weight
        self.saturates, self.has_target = base.saturates, base.has_target

    def classification(self, output: DiscriminatorOutput) -> torch.Tensor:
        """Cross-entropy of the labels."""
        logits = output.outputs[..., 1:]
        if self.multi_hot:
            return binary_cross_entropy(logits, output.labels).mean((-2, -1))
        return -(output.labels * F.log_softmax(logits, -1)).sum(-1).mean(-1)

    def real(self, real: DiscriminatorOutput) -> torch.Tensor:
        return self.base.real(real) + self.weight * self.classification(real)

    def fake(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return self.base.fake(fake) + self.weight * self.classification(fake)

    def generator(self, fake: DiscriminatorOutput) -> torch.Tensor:
        return self.base.generator(fake) + self.generator_weight * self.classification(fake)


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each logit. targets: 0 to 1."""
    return F.softplus(logits) - targets * logits
