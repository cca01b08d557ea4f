"""Settings of the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, MinLen
from typing_extensions import Doc

from labelmint.runtime.validation import Settings


@dataclass(frozen=True)
class Representation(Settings):
    """Accuracy of a linear SVM on the features of the discriminator (Radford et al. 2016, section 5.1)."""

    measured: Annotated[bool, Doc("Whether to measure it.")] = False
    pooling: Annotated[
        Literal["grid", "window"],
        Doc("Max-pool maps to a grid of pool_size x pool_size, or in windows of that size."),
    ] = "grid"
    pool_size: Annotated[int, Interval(ge=1, le=64), Doc("Side of the grid or the window.")] = 4
    labels_per_class: Annotated[
        list[Annotated[int, Ge(1)]], Doc("Numbers of labels per class to train on, besides all labels.")
    ] = field(default_factory=lambda: [400])
    draws: Annotated[int, Interval(ge=1, le=1000), Doc("Random draws of each number of labels.")] = 3
    c: Annotated[
        list[Annotated[float, Gt(0)]],
        MinLen(1),
        Doc("Values of C to choose from, on held-out training images."),
    ] = field(default_factory=lambda: [0.1, 1.0, 10.0])
    validation_percent: Annotated[
        int, Interval(ge=1, le=90), Doc("Percentage of the training images that C is chosen on.")
    ] = 10
    iterations: Annotated[int, Interval(ge=1, le=100_000), Doc("Most iterations of L-BFGS.")] = 1000


@dataclass(frozen=True)
class Metrics(Settings):
    """What is measured, and on how many images."""

    split: Annotated[
        Literal["test", "validation"],
        Doc(
            "Real images that everything is evaluated on. Use `validation` (and dataset.validation_percent) "
            "while choosing settings."
        ),
    ] = "test"
    points: Annotated[
        int,
        Interval(ge=10, le=50_000),
        Doc(
            "Most images per side of metrics that compare all pairs: KID, precision, recall, nearest "
            "neighbours."
        ),
    ] = 5000
    neighbours: Annotated[
        int, Interval(ge=1, le=100), Doc("k of precision, recall, density and coverage.")
    ] = 5
    inception: Annotated[
        str,
        Doc("Weights for FID, KID and IS: none, fetch (downloaded, checked by hash), or the path of a file."),
    ] = "none"
    inception_images: Annotated[
        int,
        Interval(ge=10, le=1_000_000),
        Doc("Most images per side of Inception metrics. On a CPU 10,000 images take about ten minutes."),
    ] = 10_000
    protected: Annotated[
        str, Doc("Attribute between whose values fairness gaps are measured. Empty measures none.")
    ] = ""
    outcome: Annotated[str, Doc("Attribute whose prediction is compared in fairness gaps.")] = ""
    representation: Representation = field(default_factory=Representation)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.protected) != bool(self.outcome) or (self.protected and self.protected == self.outcome):
            raise ValueError("protected and outcome must name two of dataset.attributes, or both be empty")
