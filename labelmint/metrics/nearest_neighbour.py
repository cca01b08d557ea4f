"""The nearest neighbour as classifier: an image is what the training image nearest in pixels is."""

from __future__ import annotations

import numpy as np

_TEST_CHUNK, _TRAINING_CHUNK = 500, 10_000


def classify(images: np.ndarray, training: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """images, training: uint8 (N, C, S, S), (M, C, S, S). labels: (M,) or (M, A). Returns: labels, (N,) or (N, A).

    Memory is bounded by chunks of both sides. Distances are exact: pixels are whole numbers, and their products sums below 2^53.
    """
    places = np.empty(len(images), np.int64)
    for at in range(0, len(images), _TEST_CHUNK):
        asked = images[at : at + _TEST_CHUNK].reshape(-1, training[0].size).astype(np.float64)
        best = np.full(len(asked), np.inf)
        for begin in range(0, len(training), _TRAINING_CHUNK):
            known = training[begin : begin + _TRAINING_CHUNK].reshape(-1, asked.shape[1]).astype(np.float64)
            distances = (known**2).sum(1) - 2 * asked @ known.T  # less what all have in common
            nearest = distances.argmin(1)
            least = distances[np.arange(len(asked)), nearest]
            closer = least < best
            best[closer], places[at : at + len(asked)][closer] = least[closer], begin + nearest[closer]
    return labels[places]
