"""Params of classifiers."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import Literal, Optional

from labelmint.runtime.settings import within


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images, the same in every arm. 0 switches one off.

    They also hide each generator's fingerprint, by which a classifier could tell the classes instead of by their shape.
    rotation: degrees each way. shift, scale, shear: shares of the image, each way.
    blur: largest standard deviation of a Gaussian blur, pixels. contrast: share each way. noise: largest standard
    deviation, on a scale where black is -1 and white 1.
    """

    rotation: float = 10.0
    shift: float = 0.1
    scale: float = 0.1
    shear: float = 0.1
    blur: float = 0.5
    contrast: float = 0.2
    noise: float = 0.1

    def __post_init__(self) -> None:
        within("classifier.augmentation", 0, 180, rotation=self.rotation)
        within(
            "classifier.augmentation",
            0,
            0.9,
            shift=self.shift,
            scale=self.scale,
            shear=self.shear,
            contrast=self.contrast,
        )
        within("classifier.augmentation", 0, 5, blur=self.blur, noise=self.noise)


VIEWS = ("residual", "background", "blurred", "noised", "requantized")
NO_AUGMENTATION = Augmentation(rotation=0, shift=0, scale=0, shear=0, blur=0, contrast=0, noise=0)
# In place of the recipe's.
AUGMENTATIONS = {
    "real_augmented": replace(NO_AUGMENTATION, rotation=30.0, shift=0.1),
    "real_rotated": replace(NO_AUGMENTATION, rotation=30.0),
    "real_unaugmented": NO_AUGMENTATION,
    "synthetic_unaugmented": NO_AUGMENTATION,
}
REAL_SOURCES = (
    *("real", "real_augmented", "real_rotated", "real_unaugmented", "real_shuffled", "real_bootstrap"),
    *(f"real_{view}" for view in VIEWS),
)
SYNTHETIC_SOURCES = (
    *("synthetic", "mixed", "synthetic_equal", "synthetic_fresh", "synthetic_unaugmented", "synthetic_shuffled"),
    *("untrained", *(f"synthetic_{view}" for view in VIEWS)),
)


@dataclass(frozen=True)
class Classifier:
    """`classifier` in params.yaml: one recipe for every arm, with the same number of optimizer steps.

    sources: what classifiers are trained on, each on its own.
        real: the images the generator had. synthetic: minted ones. mixed: both.
        real_augmented: real ones under classical augmentation (30 degrees each way, shifts of a tenth) in place of the recipe's.
        real_rotated: under 30 degrees each way alone.
        real_bootstrap: as many real ones drawn with replacement: what a perfect generator of copies would give.
        synthetic_equal: as many minted ones as there are real. synthetic_fresh: new minted ones in every epoch.
        real_unaugmented, synthetic_unaugmented: without augmentation, so that fingerprints are not hidden; real ones have none.
        Controls: real_shuffled, synthetic_shuffled: labels in another order, which must give chance; untrained: minted by
        generators with their initial weights.
        real_VIEW, synthetic_VIEW: seen as `views` has it, in training and in testing: residual, background, blurred, noised, requantized.
    sweep: numbers of minted images per class, each a further source synthetic_<number>.
    simple_classifiers: of every source, how a weak classifier does on it: linear (on pixels, same steps), nearest_neighbour (on pixels).
    epochs: in place of `steps`, passes over each source's own images, as reports do, which lets larger sets train longer. Each pass
    takes every image once, whatever real_fraction says; with `steps`, batches are drawn with replacement.
    weights: none, imagenet (fetched by name, checked by hash), or the path of a state dict.
    stem_stride: 1 keeps small images from shrinking away before the first block; 2 is the original and 3 times quicker.
    head_dropout, head_units: the report's top, dropout -> units -> ReLU -> classes; 0 units is one linear layer.
    learning_rate_schedule: one_cycle (Smith 2018), or constant.
    holdout_percent: share of an arm's own training images that are not trained on, but looked at `checks` times;
    holdout_max_images: never more images than these, of a class its part.
    moment: which weights are kept: those best on the held-out images, or the last.
    real_fraction: share of real images in each batch of the mixed arm.
    """

    sources: list[str] = field(default_factory=lambda: ["real", "synthetic", "mixed"])
    sweep: list[int] = field(default_factory=list)
    simple_classifiers: list[Literal["linear", "nearest_neighbour"]] = field(default_factory=list)
    network: Literal["efficientnet-b0", "small_cnn", "linear"] = "efficientnet-b0"
    weights: str = "none"
    stem_stride: Literal[1, 2] = 2
    head_dropout: float = 0.3
    head_units: int = 512
    steps: int = 200
    epochs: Optional[int] = None
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    learning_rate_schedule: Literal["one_cycle", "constant"] = "one_cycle"
    momentum: float = 0.9
    weight_decay: float = 0.01
    holdout_percent: int = 10
    holdout_max_images: int = 1000
    evaluations: int = 4
    checkpoint: Literal["best", "last"] = "best"
    real_fraction: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        known = (*REAL_SOURCES, *SYNTHETIC_SOURCES)
        for source in self.sources:
            if source not in known:
                near = difflib.get_close_matches(source, known, n=1)
                raise ValueError(
                    f"sources: no '{source}'{f'; did you mean {near[0]!r}?' if near else ''} There are {', '.join(known)}"
                )
        if "real" not in self.sources:
            raise ValueError("sources must name real: it is what all others are compared with")
        for name, values in (
            ("sources", self.sources),
            ("sweep", self.sweep),
            ("simple_classifiers", self.simple_classifiers),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names one twice")
        if self.sweep and min(self.sweep) < 2:
            raise ValueError(f"sweep: {min(self.sweep)} images per class are too few; at least 2")
        within("classifier", 1, 10_000_000, steps=self.steps, epochs=self.epochs or 1)
        within("classifier", 2, 65536, batch_size=self.batch_size)
        within("classifier", 1, 90, holdout_percent=self.holdout_percent)
        within("classifier", 10, 10_000_000, holdout_max_images=self.holdout_max_images)
        within("classifier", 0, 0.95, head_dropout=self.head_dropout)
        within("classifier", 0, 65536, head_units=self.head_units)
        within(
            "classifier", 0, 1, weight_decay=self.weight_decay, momentum=self.momentum, real_fraction=self.real_fraction
        )
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be at least 1 or null, got {self.epochs}")
        if not 1 <= self.evaluations <= self.steps:
            raise ValueError(f"checks must be 1 to steps ({self.steps}), got {self.evaluations}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


@dataclass(frozen=True)
class FeatureNetwork:
    """`feature_network` in params.yaml: a small CNN trained once on the whole real training set, then frozen.

    features: length of the vector that Fréchet distance and its kin are measured in. seed: its own, no replicate's.
    """

    features: int = 64
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        within("feature_network", 2, 4096, features=self.features)
        within("feature_network", 1, 10_000_000, steps=self.steps)
        within("feature_network", 2, 65536, batch_size=self.batch_size)
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
