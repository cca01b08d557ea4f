"""Settings of the training of generators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval
from typing_extensions import Doc

from labelmint.runtime.validation import Settings


@dataclass(frozen=True)
class Training(Settings):
    """How generators are trained, the same for every family."""

    epochs: Annotated[
        int,
        Interval(ge=1, le=100_000),
        Doc("Number of epochs. Progress is logged, drawn and saved after each."),
    ] = 10
    images_per_epoch: Annotated[
        Annotated[int, Ge(1)] | None,
        Doc(
            "Real images per epoch and generator. null is one pass over its own images; a number gives "
            "every fraction of the real data the same number of steps."
        ),
    ] = None
    batch_size: Annotated[
        int,
        Interval(ge=2, le=65536),
        Doc("Images per step. If it exceeds the images of a class, images repeat within a batch."),
    ] = 64
    ema_half_life: Annotated[
        int,
        Ge(0),
        Doc(
            "Half-life of the moving average of weights that is published, images. 0 publishes the raw "
            "weights."
        ),
    ] = 5000
    learning_rate_decay: Annotated[
        Literal["none", "linear", "cosine"],
        Doc(
            "Decay of the learning rate. `linear` falls to 0 over the second half of training, `cosine` "
            "over all of it."
        ),
    ] = "none"
    translation: Annotated[
        float,
        Interval(ge=0, le=0.5),
        Doc(
            "DiffAugment: largest shift, as a fraction of the image size. DiffAugment changes real and "
            "synthetic images alike (Zhao et al. 2020)."
        ),
    ] = 0.125
    translation_fill: Annotated[
        float,
        Interval(ge=-1, le=1),
        Doc("DiffAugment: value of the pixels that a shift uncovers; black is -1. Published: 0."),
    ] = -1.0
    cutout: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Doc("DiffAugment: side of a blank square, as a fraction of the image size."),
    ] = 0.0
    brightness: Annotated[
        float, Interval(ge=0, le=2), Doc("DiffAugment: range of the brightness shift; black is -1, white 1.")
    ] = 0.0
    contrast: Annotated[
        float, Interval(ge=0, le=0.9), Doc("DiffAugment: largest relative change of contrast.")
    ] = 0.0
    saturation: Annotated[
        float, Interval(ge=0, le=2), Doc("DiffAugment: largest relative change of saturation.")
    ] = 0.0
    rotation: Annotated[
        float,
        Interval(ge=0, le=180),
        Doc("Largest rotation of real images, degrees. The generator learns to create rotated images."),
    ] = 0.0
    preview_images: Annotated[
        int,
        Interval(ge=1, le=64),
        Doc("Fixed latents drawn after each epoch, per class or attribute combination."),
    ] = 8
    sync_batch_norm: Annotated[
        bool, Doc("Under torchrun, compute batch statistics over all processes (GPUs only).")
    ] = False
    ensemble: Annotated[
        int,
        Interval(ge=1, le=100),
        Doc(
            "Generators of each class, or of all classes for a conditional family, trained from different "
            "seeds. Each makes an equal part of the synthetic images."
        ),
    ] = 1
    restarts: Annotated[
        int,
        Interval(ge=0, le=100),
        Doc(
            "Restarts with another seed of a generator that fails. It fails if a loss is not finite, or if "
            "it is unhealthy for three epochs in a row: collapsed, discriminator always right, or no "
            "gradient."
        ),
    ] = 1
