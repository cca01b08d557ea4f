"""How like the test images a set of images is, in the features of the frozen network."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.evaluate.distances import frechet, frechet_infinity, kernel_distance, neighbourhoods
from stages.evaluate.params import Metrics
from stages.train_classifiers.feature_network import FrozenNetwork

_LEAST_OF_A_CLASS = 10


class Space:
    """The frozen network, and the test images in it. labels: int64 (N,), or multi-hot (N, A)."""

    def __init__(self, network: FrozenNetwork, test: tuple[np.ndarray, np.ndarray], classes: int, params: Metrics):
        self.network, self.params, self.classes = network, params, classes
        self.test, self.labels = network.features(np.asarray(test[0])), test[1]

    def likeness(self, features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """features: float (N, d). labels: as the test set's, or int64 (N,) of -1 where there are none."""
        count = min(self.params.points, len(self.test), len(features))
        points, few_test = shuffled(features), shuffled(self.test)[:count]
        measured = {
            "frechet_classifier": frechet(features, self.test),
            "frechet_infinity": frechet_infinity(points, self.test),
            "kid": kernel_distance(points[:count], few_test),
            **neighbourhoods(few_test, points[:count], self.params.neighbours),
            "n_points": count,
        }
        if self.labels.ndim > 1 or labels.ndim > 1 or labels.min(initial=0) < 0:
            return measured
        return measured | self._by_class(features, labels)

    def _by_class(self, features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Within each class; None of a class with too few images to have a covariance."""
        frechets, kernels = [], []
        for label in range(self.classes):
            own, reference = features[labels == label], self.test[self.labels == label]
            enough = min(len(own), len(reference)) >= _LEAST_OF_A_CLASS
            few = min(self.params.points, len(own), len(reference))
            frechets.append(frechet(own, reference) if enough else None)
            kernels.append(kernel_distance(shuffled(own)[:few], shuffled(reference)[:few]) if enough else None)
        known = [value for value in frechets if value is not None]
        return {
            "frechet_intra_class": float(np.mean(known)) if known else None,
            "frechet_per_class": frechets,
            "kid_per_class": kernels,
        }

    def protocol(self, n: int, size: int) -> dict[str, Any]:
        """What a number of `likeness` is worth nothing without. n: images measured; size: their side in pixels."""
        count = min(self.params.points, len(self.test), n)
        whole = {
            "n": n,
            "n_reference": len(self.test),
            "reference": "test",
            "resize": f"none: {size} x {size} pixels as prepared",
            "network": f"sha256 {self.network.sha256}",
            "features": self.test.shape[1],
        }
        paired = whole | {"n": count, "n_reference": count}
        return {
            "frechet_classifier": whole,
            "frechet_infinity": whole | {"n": "extrapolated from 15 sizes to infinity"},
            "frechet_intra_class": whole,
            "kid": paired,
            **{name: paired | {"k": self.params.neighbours} for name in ("precision", "recall", "density", "coverage")},
        }


def shuffled(points: np.ndarray) -> np.ndarray:
    """In an order of its own, the same each time."""
    return points[np.random.default_rng(0).permutation(len(points))]
