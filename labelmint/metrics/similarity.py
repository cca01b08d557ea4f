"""How like the test images sets of images are, in the features of the frozen network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.metrics import content
from labelmint.metrics.distances import (
    LEAST_ROWS_PER_FEATURE,
    extrapolation_sizes,
    frechet,
    frechet_infinity,
    kernel_distance,
    neighbourhoods,
)
from labelmint.metrics.settings import Metrics

_LEAST_OF_A_CLASS = 10


@dataclass(frozen=True)
class Points:
    """Images in the features of the frozen network, in the order of their content: the first n are a random sample of any set's order.

    split: where they are from. places: int64 (N,), of each image within its set. features: float32 (N, d). labels: int64 (N,),
    -1 where there are none, or multi-hot (N, A).
    """

    split: str
    places: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def per_class(self, classes: int) -> np.ndarray:
        """int64 (classes,): how many there are of each."""
        return np.bincount(self.labels, minlength=classes)

    def of_class(self, label: int) -> np.ndarray:
        return self.features[self.labels == label]


class Space:
    """The frozen network, and the test images in it. test: images, uint8 (N, C, S, S), and labels, int64 (N,) or multi-hot (N, A)."""

    def __init__(self, network: FrozenNetwork, test: tuple[np.ndarray, np.ndarray], classes: int, params: Metrics):
        self.network, self.params, self.classes = network, params, classes
        self.test, size = self.points(params.split, *test), test[0].shape[-1]
        self.dimensions = self.test.features.shape[1]
        self.frozen = {
            "resize": f"none: {size} x {size} pixels as prepared",
            "network": f"sha256 {network.sha256}",
            "features": self.dimensions,
        }

    def points(self, split: str, images: np.ndarray, labels: np.ndarray) -> Points:
        """Arguments as the test set's; labels may be -1, int64 (N,)."""
        places = content.order(images, labels)
        return Points(split, places, self.network.features(images)[places], np.asarray(labels)[places])

    def likeness(self, sources: Mapping[str, Points]) -> dict[str, dict[str, Any]]:
        """By source its metrics, and under `measured` how each was had: as many images of every source, in all and of a class.

        The fewest that any of them has: distances fall with the number of images, so that sources would not be comparable.
        """
        n = min(map(len, sources.values()))
        found = {name: self._whole(points, n) for name, points in sources.items()}
        if all(part.labels.ndim == 1 and part.labels.min(initial=0) >= 0 for part in (self.test, *sources.values())):
            counts = np.min([points.per_class(self.classes) for points in sources.values()], axis=0)
            for name, points in sources.items():
                values = self._by_class(points, counts)
                found[name]["measured"] |= values.pop("measured")
                found[name] |= values
        return found

    def _whole(self, points: Points, n: int) -> dict[str, Any]:
        own, reference = points.features[:n], self.test.features
        few, k = min(self.params.points, len(reference), n), self.params.neighbours
        whole = {
            "split": points.split,
            "n": n,
            "reference": self.test.split,
            "n_reference": len(reference),
            **self.frozen,
        }
        paired = whole | {"n": few, "n_reference": few}
        return {
            "frechet_classifier": frechet(own, reference),
            "frechet_infinity": frechet_infinity(own, reference),
            "kid": kernel_distance(own[:few], reference[:few]),
            **neighbourhoods(reference[:few], own[:few], k),
            "measured": {
                "frechet_classifier": whole,
                "frechet_infinity": whole | {"sizes": extrapolation_sizes(n, self.dimensions)},
                "kid": paired,
                **{name: paired | {"k": k} for name in ("precision", "recall", "density", "coverage")},
            },
        }

    def _by_class(self, points: Points, counts: np.ndarray) -> dict[str, Any]:
        """Within each class; None of a class with too few images: of a Fréchet distance they must give a covariance."""
        frechets, kernels, few, least = [], [], [], LEAST_ROWS_PER_FEATURE * self.dimensions
        references = self.test.per_class(self.classes)
        for label, (count, n_reference) in enumerate(zip(counts, references)):
            own, reference = points.of_class(label)[:count], self.test.of_class(label)
            few.append(int(min(self.params.points, count, n_reference)))
            frechets.append(frechet(own, reference) if min(count, n_reference) >= least else None)
            kernels.append(kernel_distance(own[: few[-1]], reference[: few[-1]]) if few[-1] >= _LEAST_OF_A_CLASS else None)  # fmt: skip
        known = [label for label, value in enumerate(frechets) if value is not None]
        each = {
            "split": points.split,
            "n": counts.tolist(),
            "reference": self.test.split,
            "n_reference": references.tolist(),
        }
        each |= self.frozen | {"least": least}
        left_out = self.classes - len(known)
        return {
            "frechet_intra_class": float(np.mean([frechets[label] for label in known])) if known else None,
            "frechet_per_class": frechets,
            "kid_per_class": kernels,
            "measured": {
                "frechet_per_class": each,
                "frechet_intra_class": each | {
                    "n": int(counts[known].sum()),
                    "n_reference": int(references[known].sum()),
                    "classes": len(known),
                    **({"absent": f"classes of fewer than {least} images: {left_out}"} if left_out else {}),
                },
                "kid_per_class": each | {"n": few, "n_reference": few, "least": _LEAST_OF_A_CLASS},
            },
        }  # fmt: skip
