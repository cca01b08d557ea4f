"""How many predictions for each test image are correct, as text in data/metrics/<arm>.json."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np


def packed(correct: np.ndarray, labels: int) -> dict[str, Any]:
    """Fractions of correct labels, float64 (N,), as JSON-ready values. labels: of each image."""
    counts = np.rint(correct * labels).astype(np.int64)
    bits = np.packbits(counts[:, None] >> _positions(labels) & 1)
    return {"images": len(correct), "labels": labels, "bits": base64.b64encode(bits.tobytes()).decode()}


def unpacked(stored: Mapping[str, Any]) -> np.ndarray:
    """Fractions as `packed` was given them: float64 (N,). Raises: ValueError where the text is damaged."""
    images, labels = int(stored["images"]), int(stored["labels"])
    positions = _positions(labels)
    content = np.frombuffer(base64.b64decode(stored["bits"], validate=True), np.uint8)
    bits = np.unpackbits(content)[: images * len(positions)].reshape(images, len(positions))
    fractions: np.ndarray = (bits << positions).sum(1) / labels
    return fractions


def _positions(labels: int) -> np.ndarray:
    """Of the bits that hold a count of up to `labels`."""
    return np.arange(labels.bit_length())
