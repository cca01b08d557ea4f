"""Params of metrics."""

from __future__ import annotations

from dataclasses import dataclass

from stages.prepare.params import within


@dataclass(frozen=True)
class Metrics:
    """`metrics` in params.yaml.

    points: most images a side where all pairs are compared (KID, precision and its kin, nearest neighbours).
    neighbours: k of precision, recall, density and coverage.
    inception: weights of the network that FID, KID and IS are commonly measured in: none, fetch (checked by hash), or a path.
    inception_images: most images a side for them. On a CPU 10,000 take some ten minutes.
    bootstrap: resamples behind the intervals of fairness gaps.
    protected, outcome: attributes between which fairness gaps are measured; empty: none are.
    """

    points: int = 5000
    neighbours: int = 5
    inception: str = "none"
    inception_images: int = 10_000
    bootstrap: int = 1000
    protected: str = ""
    outcome: str = ""

    def __post_init__(self) -> None:
        within("metrics", 10, 50_000, points=self.points)
        within("metrics", 1, 100, neighbours=self.neighbours)
        within("metrics", 10, 1_000_000, inception_images=self.inception_images)
        within("metrics", 10, 1_000_000, bootstrap=self.bootstrap)
        if bool(self.protected) != bool(self.outcome) or (self.protected and self.protected == self.outcome):
            raise ValueError("metrics.protected and metrics.outcome name two of dataset.attributes, or neither")
