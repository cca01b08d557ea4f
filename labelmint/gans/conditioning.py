"""Labels as generators receive them: one-hot classes, multi-hot attributes, or length 0 for none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from labelmint.gans.settings import Family

_MAX_PATTERNS = 4096


@dataclass(frozen=True)
class LabelSpec:
    """The labels that can be requested from a generator, and how often each is sampled.

    kind: Family.labels. names: of the classes or attributes. vectors: float32 (V, K), the labels.
    frequencies: float64 (V,), which sum to 1.
    """

    kind: str
    names: list[str]
    vectors: np.ndarray
    frequencies: np.ndarray

    @classmethod
    def of(cls, family: Family, names: list[str], labels: np.ndarray) -> LabelSpec:
        """Derive the labels from the real ones, int64 (N,) or multi-hot (N, A).

        Multi-hot labels have the frequencies of the real images. Classes are equally frequent.
        """
        if family.labels == "conditional":
            equal = np.full(len(names), 1 / len(names))
            return cls(family.labels, names, np.eye(len(names), dtype=np.float32), equal)
        if family.labels == "multi_hot":
            vectors, counts = np.unique(labels.astype(np.float32), axis=0, return_counts=True)
            common = np.sort(np.argsort(-counts, kind="stable")[:_MAX_PATTERNS])
            return cls(family.labels, names, vectors[common], counts[common] / counts[common].sum())
        return cls(family.labels, names, np.zeros((1, 0), np.float32), np.ones(1))

    def counts(self, total: int) -> np.ndarray:
        """Number of images of each label, int64 (V,), out of `total`, by the largest remainder method."""
        exact = self.frequencies * total
        counts = np.floor(exact + 1e-9).astype(np.int64)
        counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
        return counts

    def commonest(self, count: int) -> np.ndarray:
        """Indices of the `count` most frequent labels, int64, ascending."""
        return np.sort(np.argsort(-self.frequencies, kind="stable")[:count])

    def title(self, index: int) -> str:
        """The name of one label."""
        if self.kind == "conditional":
            return self.names[index]
        if self.kind == "multi_hot":
            present = [name for name, on in zip(self.names, self.vectors[index]) if on]
            return "+".join(present) or "none of them"
        return "all"


def encode(labels: torch.Tensor, length: int) -> torch.Tensor:
    """int64 (...) classes, or (..., length) multi-hot -> float (..., length)."""
    if labels.dtype != torch.int64:
        return labels.float()
    return (labels.unsqueeze(-1) == torch.arange(length, device=labels.device)).float()
