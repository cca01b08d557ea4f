"""Objectives: pure functions on what a discriminator says, each a mean over the batch.

Tensors may have leading dimensions, one place per replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F


class Judged(NamedTuple):
    """What D was shown and what it said.

    outputs: ([R,] N, heads). labels: ([R,] N, K), those that the images have. wished: the same, those that G was asked for.
    images: ([R,] N, C, S, S), as D saw them.
    """

    outputs: torch.Tensor
    labels: torch.Tensor
    requested: torch.Tensor
    images: torch.Tensor

    @property
    def source(self) -> torch.Tensor:
        """([R,] N): large for what looks real."""
        return self.outputs[..., 0]


class Objective:
    """The losses of both players.

    paired: D compares real with minted images, so it needs both at once. saturates: a D that is always right leaves G no gradient.
    has_target: D's answers on real images have a target, which can be smoothed.
    """

    paired = False
    saturates = False
    has_target = False

    def real(self, judged: Judged) -> torch.Tensor:
        """D's loss on real images, ([R])."""
        raise NotImplementedError

    def fake(self, judged: Judged) -> torch.Tensor:
        """D's loss on minted images."""
        raise NotImplementedError

    def generator(self, judged: Judged) -> torch.Tensor:
        """G's loss on minted images."""
        raise NotImplementedError

    def discriminator(self, real: Judged, fake: Judged) -> tuple[torch.Tensor, torch.Tensor]:
        """D's losses on real and on minted images."""
        return self.real(real), self.fake(fake)

    def against(self, fake: Judged, real: Judged) -> torch.Tensor:
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

    def real(self, judged: Judged) -> torch.Tensor:
        # softplus(-x) is the loss for target 1; each unit of smoothing moves the target and adds x.
        return (F.softplus(-judged.source) + self.label_smoothing * judged.source).mean(-1)

    def fake(self, judged: Judged) -> torch.Tensor:
        return F.softplus(judged.source).mean(-1)

    def generator(self, judged: Judged) -> torch.Tensor:
        return F.softplus(-judged.source).mean(-1)


class Hinge(Objective):
    """max(0, 1 - D) on real and max(0, 1 + D) on fake for D; -D on fake for G (Lim and Ye 2017)."""

    def real(self, judged: Judged) -> torch.Tensor:
        return F.relu(1 - judged.source).mean(-1)

    def fake(self, judged: Judged) -> torch.Tensor:
        return F.relu(1 + judged.source).mean(-1)

    def generator(self, judged: Judged) -> torch.Tensor:
        return -judged.source.mean(-1)


class Wasserstein(Objective):
    """-D on real and D on fake for D, whose sum is the distance's estimate with its sign changed; -D on fake for G (Arjovsky et al. 2017)."""

    def real(self, judged: Judged) -> torch.Tensor:
        return -judged.source.mean(-1)

    def fake(self, judged: Judged) -> torch.Tensor:
        return judged.source.mean(-1)

    def generator(self, judged: Judged) -> torch.Tensor:
        return -judged.source.mean(-1)


class Relativistic(Objective):
    """Each real image against a minted one: softplus(D(fake) - D(real)) for D, the opposite for G (Jolicoeur-Martineau 2019; Huang et al. 2024).

    D's loss is given half to the real and half to the fake side.
    """

    paired = True

    def discriminator(self, real: Judged, fake: Judged) -> tuple[torch.Tensor, torch.Tensor]:
        half = F.softplus(fake.source - real.source).mean(-1) / 2
        return half, half

    def against(self, fake: Judged, real: Judged) -> torch.Tensor:
        return F.softplus(real.source - fake.source).mean(-1)


@dataclass(frozen=True)
class Auxiliary(Objective):
    """Another objective, and D has to tell the labels of all images, G to make images whose labels are told (Odena et al. 2017).

    Outputs after the first: one per label, logits of a softmax, or of one sigmoid each where labels are multi_hot.
    """

    source: Objective
    multi_hot: bool = False
    weight: float = 1.0
    generator_weight: float = 1.0

    @property
    def saturates(self) -> bool:
        return self.source.saturates

    @property
    def has_target(self) -> bool:
        return self.source.has_target

    def told(self, judged: Judged) -> torch.Tensor:
        """Cross-entropy of the labels that D tells."""
        logits = judged.outputs[..., 1:]
        if self.multi_hot:
            return binary_cross_entropy(logits, judged.labels).mean((-2, -1))
        return -(judged.labels * F.log_softmax(logits, -1)).sum(-1).mean(-1)

    def real(self, judged: Judged) -> torch.Tensor:
        return self.source.real(judged) + self.weight * self.told(judged)

    def fake(self, judged: Judged) -> torch.Tensor:
        return self.source.fake(judged) + self.weight * self.told(judged)

    def generator(self, judged: Judged) -> torch.Tensor:
        return self.source.generator(judged) + self.generator_weight * self.told(judged)


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each logit, for a target of 0 to 1."""
    return F.softplus(logits) - targets * logits
