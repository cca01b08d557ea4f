"""Labels as generators are told them: one-hot for a class, multi-hot for attributes, of length 0 for none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from labelmint.gans.settings import Family

_MOST_PATTERNS = 4096


@dataclass(frozen=True)
class LabelSpec:
    """The labels that a generator can be asked for, and how often each is minted.

    names: of the classes, or of the attributes. vectors: float32 (V, K). shares: float64 (V,), which sum to 1.
    """

    kind: str
    names: list[str]
    vectors: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, family: Family, names: list[str], labels: np.ndarray) -> LabelSpec:
        """labels: of the real images, int64 (N,) or multi-hot (N, A), which multi-hot wishes follow in their shares."""
        if family.labels == "conditional":
            return cls(family.labels, names, np.eye(len(names), dtype=np.float32), np.full(len(names), 1 / len(names)))
        if family.labels == "multi_hot":
            vectors, counts = np.unique(labels.astype(np.float32), axis=0, return_counts=True)
            common = np.sort(np.argsort(-counts, kind="stable")[:_MOST_PATTERNS])
            return cls(family.labels, names, vectors[common], counts[common] / counts[common].sum())
        return cls(family.labels, names, np.zeros((1, 0), np.float32), np.ones(1))

    def counts(self, total: int) -> np.ndarray:
        """int64 (V,): how many of `total` images each gets, by largest remainder."""
        exact = self.shares * total
        counts = np.floor(exact + 1e-9).astype(np.int64)
        counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
        return counts

    def commonest(self, count: int) -> np.ndarray:
        """int64: places of the `count` commonest, in their order."""
        return np.sort(np.argsort(-self.shares, kind="stable")[:count])

    def title(self, place: int) -> str:
        """A name for one of them."""
        if self.kind == "conditional":
            return self.names[place]
        if self.kind == "multi_hot":
            return "+".join(name for name, on in zip(self.names, self.vectors[place]) if on) or "none of them"
        return "all"


def encode(labels: torch.Tensor, length: int) -> torch.Tensor:
    """int64 (...) of classes, or (..., length) multi-hot -> float (..., length)."""
    if labels.dtype != torch.int64:
        return labels.float()
    return (labels.unsqueeze(-1) == torch.arange(length, device=labels.device)).float()
