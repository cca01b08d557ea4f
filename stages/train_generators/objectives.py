"""Objectives: pure functions on logits, each a mean over the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class NonSaturating:
    """-log D on real and -log(1 - D) on fake for D; -log D on fake for G (Goodfellow et al. 2014, §3).

    label_smoothing: the target of real images is 1 - label_smoothing (Salimans et al. 2016, §3.4).
    All take logits, float ([R,] N), and return their mean over the last dimension.
    """

    label_smoothing: float = 0.0

    def real(self, logits: torch.Tensor) -> torch.Tensor:
        # softplus(-x) is the loss for target 1; each unit of smoothing moves the target and adds x.
        return (F.softplus(-logits) + self.label_smoothing * logits).mean(-1)

    def fake(self, logits: torch.Tensor) -> torch.Tensor:
        return F.softplus(logits).mean(-1)

    def generator(self, logits: torch.Tensor) -> torch.Tensor:
        return F.softplus(-logits).mean(-1)
