"""Settings of generator families: labels, losses, optimizers. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Gt, Interval
from typing_extensions import Doc

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.runtime.validation import Settings

COLLAPSED_BELOW = 0.25
"""Diversity of synthetic images relative to real ones below which a generator counts as collapsed."""

MOST_LATENT_DEVIATION = 3.0
"""Largest factor of latents."""

_Weight = Annotated[float, Interval(ge=0, le=1e4)]


@dataclass(frozen=True)
class Optimizer(Settings):
    """Optimizer of one network."""

    kind: Annotated[
        Literal["adam", "rmsprop"], Doc("Optimizer. In rmsprop, beta2 is the smoothing constant.")
    ] = "adam"
    learning_rate: Annotated[float, Gt(0), Doc("Learning rate.")] = 2e-4
    beta1: Annotated[
        float,
        Interval(ge=0, le=0.99999),
        Doc("Decay of the mean of gradients, for adam. 0 uses the latest gradient."),
    ] = 0.5
    beta2: Annotated[float, Interval(ge=0, le=0.99999), Doc("Decay of the mean of squared gradients.")] = (
        0.999
    )


@dataclass(frozen=True)
class Family(Settings):
    """All that distinguishes one generator from another."""

    labels: Annotated[
        Literal["per_class", "conditional", "multi_hot", "none"],
        Doc(
            "Labels of synthetic images. `per_class`: one generator per class. `conditional`: one generator "
            "that takes the class. `multi_hot`: one that takes the attributes. `none`: one for all images, "
            "without labels."
        ),
    ] = "per_class"
    latent_size: Annotated[int, Interval(ge=1, le=4096), Doc("Size of the latent vector.")] = 64
    latent_distribution: Annotated[Literal["normal", "uniform"], Doc("Distribution of latent vectors.")] = (
        "normal"
    )
    generator: GeneratorNetwork = field(default_factory=GeneratorNetwork)
    discriminator: DiscriminatorNetwork = field(default_factory=DiscriminatorNetwork)
    initialization: Annotated[
        Literal["normal", "glorot_uniform"], Doc("Initialization of weights. `normal` is N(0, 0.02).")
    ] = "normal"
    update: Annotated[
        Literal["sequential", "alternating", "simultaneous"],
        Doc(
            "Update rule. `sequential`: D on real images, D on new synthetic images, G on new ones through "
            "the updated D. `alternating`: D on real and new synthetic images at once, then G on new ones. "
            "`simultaneous`: one batch of synthetic images, both gradients at once."
        ),
    ] = "sequential"
    n_critic: Annotated[
        int, Interval(ge=1, le=100), Doc("Steps of D per step of G, each on its own batch of real images.")
    ] = 1
    label_smoothing: Annotated[
        float,
        Interval(ge=0, le=0.5),
        Doc("One-sided label smoothing. The target of real images is 1 - label_smoothing."),
    ] = 0.0
    r1: Annotated[
        _Weight,
        Doc(
            "Penalty on the gradient of D at real images. The loss adds r1/2 x mean squared norm (Mescheder "
            "et al. 2018)."
        ),
    ] = 0.0
    r2: Annotated[
        _Weight,
        Doc("The same penalty at synthetic images."),
    ] = 0.0
    gradient_penalty: Annotated[
        _Weight,
        Doc(
            "Weight of WGAN-GP's penalty. It is (gradient norm - 1)^2 between real and synthetic images "
            "(Gulrajani et al. 2017)."
        ),
    ] = 0.0
    clip: Annotated[
        _Weight,
        Doc(
            "Largest absolute weight of D, clipped after each of its steps (Arjovsky et al. 2017). 0 is no "
            "limit."
        ),
    ] = 0.0
    lecam: Annotated[_Weight, Doc("Weight of LeCam regularization (Tseng et al. 2021).")] = 0.0
    lecam_start: Annotated[
        int, Interval(ge=0, le=10_000_000), Doc("Steps of D before LeCam regularization starts.")
    ] = 0
    auxiliary_weight: Annotated[
        _Weight, Doc("Weight of the label prediction loss in the objective of D.")
    ] = 1.0
    auxiliary_weight_generator: Annotated[
        _Weight, Doc("Weight of the label prediction loss in the objective of G.")
    ] = 1.0
    fairness: Annotated[
        Literal["none", "demographic_parity", "equality_of_opportunity"],
        Doc("Fairness criterion of `outcome` towards `protected`, for fairness_gan."),
    ] = "none"
    protected: Annotated[
        str, Doc("Protected attribute, which the synthetic outcome should be independent of.")
    ] = ""
    outcome: Annotated[str, Doc("Outcome attribute.")] = ""
    fairness_weight: Annotated[_Weight, Doc("Weight of the fairness loss.")] = 1.0
    generator_optimizer: Optimizer = field(default_factory=Optimizer)
    discriminator_optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        super().__post_init__()
        takes_labels = self.labels in ("conditional", "multi_hot")
        for player, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if takes_labels != (network.condition != "none"):
                needed = "other than none" if takes_labels else "none"
                raise ValueError(
                    f"labels: {self.labels} needs {player}.condition: {needed}, got {network.condition}"
                )
        if self.gradient_penalty and self.update == "sequential":
            raise ValueError(
                "gradient_penalty is taken between real and synthetic images; it needs update: alternating "
                "or simultaneous"
            )
        if self.gradient_penalty and self.discriminator.batch_norm and self.discriminator.kind == "conv":
            raise ValueError("gradient_penalty is per image; it needs discriminator.batch_norm: false")
        if self.update == "simultaneous" and self.n_critic > 1:
            raise ValueError(
                "update: simultaneous takes one step of each; n_critic needs alternating or sequential"
            )
        if self.fairness != "none" and not (
            self.protected and self.outcome and self.protected != self.outcome
        ):
            raise ValueError("fairness needs `protected` and `outcome`, two of dataset.attributes")


@dataclass(frozen=True)
class Synthesis(Settings):
    """How many images are generated, and how."""

    images_per_class: Annotated[int, Interval(ge=2, le=10_000_000), Doc("Synthetic images per class.")] = 1000
    latent_deviation: Annotated[
        float,
        Interval(gt=0, le=MOST_LATENT_DEVIATION),
        Doc(
            "Factor of the latents, on which images depend. Above 1 images are more varied and less typical "
            "(the expansion trick of Lampis et al. 2023), below 1 the reverse. It is also that of images "
            "sampled for `sweep`, `synthetic_fresh` and filtered sources, and of `labelmint sample`."
        ),
    ] = 1.0
