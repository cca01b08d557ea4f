"""Params of networks and of their training. Light: nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from stages.prepare.params import within

Activation = Literal["relu", "leaky_relu", "selu"]


def _same_length(owner: str, **lists: list[int]) -> None:
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{owner}: " + ", ".join(f"{name} has {n} entries" for name, n in lengths.items()) + "; they must agree"
        )
    for name, values in lists.items():
        if not values or min(values) < 1:
            raise ValueError(f"{owner}.{name} must list whole numbers of at least 1, got {values}")


@dataclass(frozen=True)
class GeneratorNetwork:
    """Latent -> dense -> transposed convolutions -> tanh.

    dense_filters: feature maps after the dense layer, whose height is image_size / product of the strides.
    filters: feature maps of each hidden transposed convolution; more entries make a deeper network.
    kernels, strides: one entry more than filters: the last layer makes the image.
    """

    dense_filters: int = 64
    filters: list[int] = field(default_factory=lambda: [32])
    kernels: list[int] = field(default_factory=lambda: [4, 4])
    strides: list[int] = field(default_factory=lambda: [2, 2])
    activation: Activation = "relu"
    negative_slope: float = 0.2
    batch_norm: bool = True

    def __post_init__(self) -> None:
        _same_length("generator", kernels=self.kernels, strides=self.strides)
        if self.filters and min(self.filters) < 1 or self.dense_filters < 1:
            raise ValueError("generator.filters and dense_filters must be at least 1")
        if len(self.kernels) != len(self.filters) + 1:
            raise ValueError(
                f"generator: {len(self.filters)} filters need {len(self.filters) + 1} kernels and strides (the last layer makes the image), got {len(self.kernels)}"
            )
        for kernel, stride in zip(self.kernels, self.strides):
            if kernel < stride or (stride == 1 and kernel % 2 == 0):
                raise ValueError(
                    f"generator: a kernel of {kernel} with stride {stride} cannot multiply the size by {stride}; use a kernel of at least the stride, odd where the stride is 1"
                )

    def start_size(self, image_size: int) -> int:
        """Pixels after the dense layer. Raises: ValueError when no such size leads to image_size."""
        growth = prod(self.strides)
        if image_size % growth:
            raise ValueError(
                f"generator.strides {self.strides} multiply the size by {growth}, which cannot make {image_size} pixels; use an image_size divisible by {growth}, or other strides"
            )
        return image_size // growth


@dataclass(frozen=True)
class DiscriminatorNetwork:
    """Convolutions -> flatten -> (dropout, noise) -> one logit.

    block_dropout: after each convolution. head_dropout and head_noise (standard deviation) act after the flatten.
    """

    filters: list[int] = field(default_factory=lambda: [32, 64])
    kernels: list[int] = field(default_factory=lambda: [4, 4])
    strides: list[int] = field(default_factory=lambda: [2, 2])
    activation: Activation = "leaky_relu"
    negative_slope: float = 0.2
    batch_norm: bool = True
    block_dropout: float = 0.0
    head_dropout: float = 0.0
    head_noise: float = 0.0

    def __post_init__(self) -> None:
        _same_length("discriminator", filters=self.filters, kernels=self.kernels, strides=self.strides)
        within("discriminator", 0, 0.95, block_dropout=self.block_dropout, head_dropout=self.head_dropout)
        within("discriminator", 0, 10, head_noise=self.head_noise)


@dataclass(frozen=True)
class Adam:
    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        within("optimizer", 0, 0.99999, beta1=self.beta1, beta2=self.beta2)


@dataclass(frozen=True)
class Family:
    """`families.<generator>` in params.yaml: everything that makes one generator differ from another.

    label_smoothing: the target of real images is 1 - label_smoothing (one-sided).
    update: sequential (D on real, D on fresh fakes, G on fresh fakes through the updated D) or
    simultaneous (one batch of fakes, both gradients at once).
    """

    labels: Literal["per_class"] = "per_class"
    latent_size: int = 64
    latent_distribution: Literal["normal", "uniform"] = "normal"
    generator: GeneratorNetwork = field(default_factory=GeneratorNetwork)
    discriminator: DiscriminatorNetwork = field(default_factory=DiscriminatorNetwork)
    initialization: Literal["normal", "glorot_uniform"] = "normal"
    update: Literal["sequential", "simultaneous"] = "sequential"
    label_smoothing: float = 0.0
    generator_optimizer: Adam = field(default_factory=Adam)
    discriminator_optimizer: Adam = field(default_factory=Adam)

    def __post_init__(self) -> None:
        if not 1 <= self.latent_size <= 4096:
            raise ValueError(f"latent_size must be 1 to 4096, got {self.latent_size}")
        within("family", 0, 0.5, label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class Training:
    """`training` in params.yaml.

    epochs: how often progress is logged, drawn and saved.
    images_per_epoch: real images seen per epoch and class; null is one pass over what the class has.
    batch_size: may exceed the images of a class, which then repeat within a batch.
    ema_half_life: images after which a weight's share in the published average has halved; 0 publishes the raw weights.
    learning_rate_decay: `linear` falls to zero over the second half of training.
    translation: DiffAugment's shift, as a share of the image size, applied to real and fake alike.
    preview_images: fixed latents drawn per class and epoch.
    sync_batch_norm: under torchrun, take batch normalisation's statistics over the processes' whole batch (GPUs only).
    restarts: how often a replica whose losses are no longer finite, or that is unwell for three epochs in a row
        (collapsed, discriminator always right, generator without gradient), begins anew with another seed.
    """

    epochs: int = 10
    images_per_epoch: int | None = None
    batch_size: int = 64
    ema_half_life: int = 5000
    learning_rate_decay: Literal["none", "linear"] = "none"
    translation: float = 0.125
    preview_images: int = 8
    sync_batch_norm: bool = False
    restarts: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= 100_000:
            raise ValueError(f"epochs must be 1 to 100000, got {self.epochs}")
        if self.images_per_epoch is not None and self.images_per_epoch < 1:
            raise ValueError(f"images_per_epoch must be at least 1 or null, got {self.images_per_epoch}")
        if not 2 <= self.batch_size <= 65536:
            raise ValueError(f"batch_size must be 2 to 65536 (batch normalisation needs two), got {self.batch_size}")
        if self.ema_half_life < 0:
            raise ValueError(f"ema_half_life must be 0 or more images, got {self.ema_half_life}")
        within("training", 0, 0.5, translation=self.translation)
        if not 1 <= self.preview_images <= 64:
            raise ValueError(f"preview_images must be 1 to 64, got {self.preview_images}")
        within("training", 0, 100, restarts=self.restarts)
