"""Losses and decisions for classes (int64 labels) and for several attributes (multi-hot labels)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def loss(logits: torch.Tensor, labels: torch.Tensor, multi_hot: bool) -> torch.Tensor:
    """Mean over images (and attributes).

    logits: float (N, K). labels: int64 (N,) or class probabilities, float (N, K); of attributes always
    float (N, K).
    """
    if multi_hot:
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.cross_entropy(logits, labels)


def distillation(
    logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float, multi_hot: bool
) -> torch.Tensor:
    """Cross-entropy of the network's probabilities with the teacher's, both at a temperature.

    logits, teacher_logits: float (N, K). Gradients have the same size at any temperature (Hinton et al. 2015,
    section 2).
    """
    soft = probabilities(teacher_logits / temperature, multi_hot)
    return temperature**2 * loss(logits / temperature, soft, multi_hot)


def decide(logits: np.ndarray, multi_hot: bool) -> np.ndarray:
    """The most likely class, int64 (N,), or the attributes likelier than not, int64 (N, K) of 0 and 1.

    logits: float (N, K).
    """
    predicted: np.ndarray = (logits > 0).astype(np.int64) if multi_hot else logits.argmax(1)
    return predicted


def probabilities(logits: torch.Tensor, multi_hot: bool) -> torch.Tensor:
    """Probability of each class or attribute, float (N, K). logits: float (N, K)."""
    return logits.sigmoid() if multi_hot else logits.softmax(1)


def confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of each image's own label, float64 (N,); of attributes the smallest over them.

    logits: float (N, K). labels: int64 (N,) or multi-hot (N, K).
    """
    values = torch.from_numpy(logits).double()
    if labels.ndim == 1:
        own: np.ndarray = values.softmax(1).numpy()[np.arange(len(labels)), labels]
        return own
    signed = torch.where(torch.from_numpy(labels > 0), values, -values)
    lowest: np.ndarray = signed.sigmoid().amin(1).numpy()
    return lowest


def fraction_correct(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images, or of images and attributes, that are predicted correctly."""
    return float((predicted == labels).mean())


def may_flip(allowed: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images may be mirrored, bool (N,).

    allowed: bool, by class, or by attribute, which all must allow it. labels: on the same device.
    """
    return allowed[labels] if labels.ndim == 1 else allowed.all().expand(len(labels))
