"""Params of metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from labelmint.runtime.settings import within


@dataclass(frozen=True)
class Representation:
    """`metrics.representation`: how well a linear SVM tells classes by the discriminator's features.

    measured: whether at all. pooling, pool_size: maps are max-pooled to a grid of pool_size x pool_size, or in windows of that
    size. labels_per_class: besides all labels, numbers of them, in `draws` draws each. c: values of C tried on validation_percent
    of the training images. iterations: of L-BFGS at most.
    """

    measured: bool = False
    pooling: Literal["grid", "window"] = "grid"
    pool_size: int = 4
    labels_per_class: list[int] = field(default_factory=lambda: [400])
    draws: int = 3
    c: list[float] = field(default_factory=lambda: [0.1, 1.0, 10.0])
    validation_percent: int = 10
    iterations: int = 1000

    def __post_init__(self) -> None:
        within("representation", 1, 64, pool_size=self.pool_size)
        within("representation", 1, 1000, draws=self.draws)
        within("representation", 1, 90, validation_percent=self.validation_percent)
        within("representation", 1, 100_000, iterations=self.iterations)
        if not self.c or min(self.c) <= 0:
            raise ValueError(f"representation.c must name at least one value above 0, got {self.c}")
        if self.labels_per_class and min(self.labels_per_class) < 1:
            raise ValueError(f"representation.labels_per_class must be 1 or more, got {self.labels_per_class}")


@dataclass(frozen=True)
class Metrics:
    """`metrics` in params.yaml.

    split: the real images that all is judged by: test, or validation (dataset.validation_percent) while settings are being chosen.
    points: most images a side where all pairs are compared (KID, precision and its kin, nearest neighbours).
    neighbours: k of precision, recall, density and coverage.
    inception: weights of the network that FID, KID and IS are commonly measured in: none, fetch (checked by hash), or a path.
    inception_images: most images a side for them. On a CPU 10,000 take some ten minutes.
    bootstrap: resamples behind the intervals of fairness gaps.
    protected, outcome: attributes between which fairness gaps are measured; empty: none are.
    """

    split: Literal["test", "validation"] = "test"
    points: int = 5000
    neighbours: int = 5
    inception: str = "none"
    inception_images: int = 10_000
    bootstrap: int = 1000
    protected: str = ""
    outcome: str = ""
    representation: Representation = field(default_factory=Representation)

    def __post_init__(self) -> None:
        within("metrics", 10, 50_000, points=self.points)
        within("metrics", 1, 100, neighbours=self.neighbours)
        within("metrics", 10, 1_000_000, inception_images=self.inception_images)
        within("metrics", 10, 1_000_000, bootstrap=self.bootstrap)
        if bool(self.protected) != bool(self.outcome) or (self.protected and self.protected == self.outcome):
            raise ValueError("metrics.protected and metrics.outcome name two of dataset.attributes, or neither")
