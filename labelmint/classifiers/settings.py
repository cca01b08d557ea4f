"""Settings of classifiers and of the feature network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval
from typing_extensions import Doc

from labelmint.classifiers.sources import SOURCES, meanings
from labelmint.runtime.validation import Forms, Settings
from labelmint.runtime.words import did_you_mean

TORCHVISION = "torchvision/"
"""Begins the names of torchvision's models."""

_Fraction = Annotated[float, Interval(ge=0, le=1)]
_Change = Annotated[float, Interval(ge=0, le=0.9)]
_Steps = Annotated[int, Interval(ge=1, le=10_000_000)]
_BatchSize = Annotated[int, Interval(ge=2, le=65_536)]


@dataclass(frozen=True)
class Augmentation(Settings):
    """Random changes to training images, the same for every source. 0 switches one off.

    They also hide the fingerprint of a generator, by which a classifier could recognise classes instead of by
    their shape.
    """

    rotation: Annotated[float, Interval(ge=0, le=180), Doc("Largest rotation, degrees.")] = 10.0
    shift: Annotated[_Change, Doc("Largest shift, as a fraction of the image size.")] = 0.1
    scale: Annotated[_Change, Doc("Largest relative change of size.")] = 0.1
    shear: Annotated[_Change, Doc("Largest shear, as a fraction of the image size.")] = 0.1
    blur: Annotated[
        float, Interval(ge=0, le=5), Doc("Largest standard deviation of a Gaussian blur, pixels.")
    ] = 0.5
    contrast: Annotated[_Change, Doc("Largest relative change of contrast.")] = 0.2
    noise: Annotated[
        float, Interval(ge=0, le=5), Doc("Largest standard deviation of noise; black is -1, white 1.")
    ] = 0.1


NO_AUGMENTATION = Augmentation(rotation=0, shift=0, scale=0, shear=0, blur=0, contrast=0, noise=0)


@dataclass(frozen=True)
class Classifier(Settings):
    """One recipe for every source of training images.

    Every source takes the same number of optimizer steps.
    """

    sources: Annotated[
        list[str],
        Doc(f"Sources of training images, one classifier each. {meanings()}"),
    ] = field(default_factory=lambda: ["real", "synthetic", "mixed"])
    sweep: Annotated[
        list[Annotated[int, Ge(2)]],
        Doc(
            "Numbers of synthetic images per class to try, e.g. [10, 100]. Each is a source "
            "synthetic_<number>."
        ),
    ] = field(default_factory=list)
    learning_curve: Annotated[
        list[Annotated[int, Interval(ge=1, le=99)]],
        Doc(
            "Percentages of all real images to train on alone, e.g. [1, 2, 5, 10, 20]. With those of "
            "`percents`, they are the curve that tells how many real images synthetic ones are worth. Each "
            "is a source real_<number>_percent."
        ),
    ] = field(default_factory=list)
    learning_curve_percent: Annotated[
        int,
        Interval(ge=2, le=100),
        Doc("The one of `percents` whose baselines train the points of the learning curve, all below it."),
    ] = 100
    simple_classifiers: Annotated[
        list[Literal["linear", "nearest_neighbour"]],
        Doc(
            "Simple classifiers of pixels for comparison. Each is trained on every source; `linear` takes "
            "the same steps."
        ),
    ] = field(default_factory=list)
    network: Annotated[
        str,
        Forms(("efficientnet-b0", "small_cnn", "linear", "torchvision/NAME")),
        Doc("Network. torchvision/NAME is a classification model of torchvision, e.g. torchvision/resnet18."),
    ] = "efficientnet-b0"
    weights: Annotated[
        str,
        Doc("Initial weights: none, imagenet (downloaded, checked by hash), or the path of a state dict."),
    ] = "none"
    stem_stride: Annotated[
        Literal[1, 2],
        Doc(
            "Stride of the first layer. 2 is EfficientNet's; 1 keeps the size of small images. Of "
            "torchvision's models, 1 also removes the pooling that follows, and 2 changes nothing."
        ),
    ] = 2
    head_dropout: Annotated[float, Interval(ge=0, le=0.95), Doc("Dropout before EfficientNet's head.")] = 0.3
    head_units: Annotated[
        int,
        Interval(ge=0, le=65_536),
        Doc("Hidden units of EfficientNet's head. 0 makes it one linear layer."),
    ] = 512
    steps: Annotated[
        _Steps, Doc("Optimizer steps, the same for every source. Batches are drawn with replacement.")
    ] = 200
    epochs: Annotated[
        _Steps | None,
        Doc(
            "Passes over the images of each source, instead of `steps`. Larger sources then train longer. "
            "Each pass takes every image once and ignores real_fraction."
        ),
    ] = None
    batch_size: Annotated[_BatchSize, Doc("Images per step.")] = 64
    optimizer: Annotated[Literal["adamw", "sgd"], Doc("Optimizer.")] = "adamw"
    learning_rate: Annotated[float, Gt(0), Doc("Learning rate, the largest of one_cycle.")] = 2e-3
    learning_rate_schedule: Annotated[
        Literal["one_cycle", "constant"],
        Doc("Schedule of the learning rate. `one_cycle` is that of Smith 2018."),
    ] = "one_cycle"
    momentum: Annotated[_Fraction, Doc("Momentum of sgd.")] = 0.9
    weight_decay: Annotated[_Fraction, Doc("Weight decay.")] = 0.01
    holdout_percent: Annotated[
        int,
        Interval(ge=1, le=90),
        Doc("Percentage of the training images held out to choose the best checkpoint."),
    ] = 10
    holdout_max_images: Annotated[
        int, Interval(ge=10, le=10_000_000), Doc("Most images held out, stratified by class.")
    ] = 1000
    evaluations: Annotated[
        int, Ge(1), Doc("Evaluations on held-out images during training, at most one per step.")
    ] = 4
    checkpoint: Annotated[
        Literal["best", "last"], Doc("Weights to keep. `best` has the best accuracy on held-out images.")
    ] = "best"
    real_fraction: Annotated[_Fraction, Doc("Fraction of real images in each batch of the source mixed.")] = (
        0.5
    )
    filter_confidence: Annotated[
        float,
        Interval(ge=0, lt=1),
        Doc(
            "Least confidence in filtered images, by the classifier of real ones. It is the probability of "
            "the image's own label; of attributes the smallest. Images that have no more than it are "
            "replaced, from up to ten times as many. A class that still has too few takes its most confident "
            "images, so that none vanishes or becomes rare."
        ),
    ] = 0.5
    distillation_temperature: Annotated[
        float,
        Interval(ge=1, le=20),
        Doc(
            "Temperature of the probabilities in the sources named distilled, of the classifier that is "
            "trained and of that which it learns from: above 1, classes that are unlikely count for more."
        ),
    ] = 3.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        for source in self.sources:
            if source not in SOURCES:
                known = ", ".join(SOURCES)
                hint = did_you_mean(source, SOURCES)
                raise ValueError(f"sources: no '{source}'{hint}; known are {known}")
        if "real" not in self.sources:
            raise ValueError("sources must name real, which all others are compared with")
        for name in ("sources", "sweep", "learning_curve", "simple_classifiers"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names one twice")
        end = self.learning_curve_percent
        if high := [point for point in self.learning_curve if point >= end]:
            raise ValueError(f"learning_curve: {high[0]} is not below learning_curve_percent ({end})")
        if self.evaluations > self.steps:
            raise ValueError(f"evaluations must be 1 to steps ({self.steps}), got {self.evaluations}")
        if self.weights != "none" and self.network in ("small_cnn", "linear"):
            raise ValueError(f"weights: {self.weights} is for larger networks; {self.network} needs none")
        if self.network.startswith(TORCHVISION):
            _require_model(self.network.removeprefix(TORCHVISION))


def _require_model(name: str) -> None:
    """Raises: ValueError if torchvision has no classification model of that name."""
    from torchvision import models  # slow

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"network: torchvision has no model '{name}'{did_you_mean(name, known)}")


@dataclass(frozen=True)
class FeatureNetwork(Settings):
    """A small CNN trained once on most of the real training images, then frozen.

    Distances are measured in its features.
    """

    features: Annotated[int, Interval(ge=2, le=4096), Doc("Length of the feature vector.")] = 64
    steps: Annotated[_Steps, Doc("Optimizer steps.")] = 400
    batch_size: Annotated[_BatchSize, Doc("Images per step.")] = 64
    learning_rate: Annotated[float, Gt(0), Doc("Largest learning rate of one_cycle.")] = 2e-3
    seed: Annotated[int, Doc("Seed, independent of the replicates.")] = 0
    holdout_percent: Annotated[
        int,
        Interval(ge=1, le=90),
        Doc(
            "Percentage of the training images that it is not trained on. These are the real images whose "
            "distances are the ceiling, since images that it has seen have other features than new ones."
        ),
    ] = 25
