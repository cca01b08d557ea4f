"""Settings of the networks of a generator family. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Literal

from annotated_types import Interval, MaxLen
from typing_extensions import Doc

from labelmint.runtime.validation import Settings

# Limits of what an untrusted description may ask for: a network within them can at least be described.
_Units = Annotated[list[Annotated[int, Interval(ge=1, le=65_536)]], MaxLen(64)]
_Pixels = Annotated[list[Annotated[int, Interval(ge=1, le=1024)]], MaxLen(64)]
_Dropout = Annotated[float, Interval(ge=0, le=0.95)]
_Noise = Annotated[float, Interval(ge=0, le=10)]

# What both networks have.
_Kind = Annotated[
    Literal["conv", "mlp", "resnet"],
    Doc(
        "Type of network. A conv uses `filters`, an mlp hidden `units`, a resnet one block per entry of "
        "`filters`."
    ),
]
_Activation = Annotated[Literal["relu", "leaky_relu", "selu"], Doc("Activation of hidden layers.")]
_NegativeSlope = Annotated[float, Interval(ge=0, le=1), Doc("Negative slope of leaky_relu.")]
_NormAfterActivation = Annotated[bool, Doc("Batch normalisation after, not before, activations.")]


def _same_length(**lists: list[int]) -> None:
    if len({len(values) for values in lists.values()}) > 1:
        counts = ", ".join(f"{name} has {len(values)} entries" for name, values in lists.items())
        raise ValueError(f"{counts}; they must agree")
    for name, values in lists.items():
        if not values:
            raise ValueError(f"{name} must not be empty")


def _check_both(network: GeneratorNetwork | DiscriminatorNetwork) -> None:
    """What holds for both networks."""
    if network.norm_after_activation and not (network.kind == "conv" and network.batch_norm):
        raise ValueError("norm_after_activation needs kind: conv and batch_norm: true")
    if network.condition == "branch" and not network.embedding:
        raise ValueError("condition: branch needs embedding, its number of maps")


@dataclass(frozen=True)
class GeneratorNetwork(Settings):
    """Latent -> dense layer -> transposed convolutions -> tanh; or an MLP; or upsampling residual blocks."""

    kind: _Kind = "conv"
    units: Annotated[
        _Units, Doc("Sizes of hidden dense layers. In a conv or resnet they precede the dense layer to maps.")
    ] = field(default_factory=list)
    dense_filters: Annotated[
        int,
        Interval(ge=1, le=65_536),
        Doc("Feature maps after the dense layer. Their height is image_size / product of the strides."),
    ] = 64
    dense_norm: Annotated[
        Literal["maps", "units", "none"],
        Doc("Batch normalisation after the dense layer. Statistics are per map or per unit."),
    ] = "maps"
    dense_activation: Annotated[bool, Doc("Whether an activation follows the dense layer.")] = True
    filters: Annotated[
        _Units,
        Doc(
            "Feature maps of each hidden transposed convolution; more entries make a deeper network. In a "
            "resnet, each entry is a block that doubles the size."
        ),
    ] = field(default_factory=lambda: [32])
    kernels: Annotated[
        _Pixels, Doc("Kernel sizes, one more than filters: the last layer makes the image.")
    ] = field(default_factory=lambda: [4, 4])
    strides: Annotated[_Pixels, Doc("Strides, one more than filters; each multiplies the size.")] = field(
        default_factory=lambda: [2, 2]
    )
    final_bias: Annotated[bool, Doc("Whether the layer that makes the image has a bias.")] = True
    activation: _Activation = "relu"
    negative_slope: _NegativeSlope = 0.2
    batch_norm: Annotated[bool, Doc("Batch normalisation after every hidden layer.")] = True
    norm_after_activation: _NormAfterActivation = False
    condition: Annotated[
        Literal["none", "concat", "product", "channel", "branch", "batch_norm"],
        Doc(
            "How labels enter. `concat`: their embedding beside the latent. `product`: latent times "
            "embedding. `channel`: one more map at the start. `branch`: `embedding` maps of their own at "
            "the start, normalised like those of the latent. `batch_norm`: each label has its own scale and "
            "shift in every batch normalisation."
        ),
    ] = "none"
    embedding: Annotated[
        int,
        Interval(ge=0, le=65_536),
        Doc("Size of the embedding of labels. 0 uses the labels as they are, one-hot or multi-hot."),
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_both(self)
        if self.kind == "mlp":
            if not self.units:
                raise ValueError("an mlp needs units, the sizes of its hidden layers")
            if self.condition not in ("none", "concat", "product"):
                raise ValueError(f"an mlp has no maps for condition: {self.condition}; use concat or product")
            return
        if self.condition == "batch_norm" and not self.batch_norm:
            raise ValueError("condition: batch_norm needs batch_norm: true")
        if self.kind == "resnet":
            if not self.filters or self.condition in ("channel", "branch"):
                raise ValueError("a resnet needs filters, and takes condition: concat, product or batch_norm")
            return
        _same_length(kernels=self.kernels, strides=self.strides)
        layers = len(self.filters) + 1
        if len(self.kernels) != layers:
            raise ValueError(
                f"{len(self.filters)} filters need {layers} kernels and strides (the last layer makes the "
                f"image), got {len(self.kernels)}"
            )
        for kernel, stride in zip(self.kernels, self.strides):
            if kernel < stride or (stride == 1 and kernel % 2 == 0):
                raise ValueError(
                    f"a kernel of {kernel} with stride {stride} cannot multiply the size by {stride}; use a "
                    "kernel of at least the stride, odd where the stride is 1"
                )

    def start_size(self, image_size: int) -> int:
        """Height of the maps after the dense layer, pixels.

        Raises ValueError if no height leads to `image_size`.
        """
        if self.kind == "mlp":
            return image_size
        growth = 2 ** len(self.filters) if self.kind == "resnet" else prod(self.strides)
        if image_size % growth:
            layers = f"{len(self.filters)} filters" if self.kind == "resnet" else f"strides {self.strides}"
            raise ValueError(
                f"generator.{layers} multiply the size by {growth}, which cannot make {image_size} pixels; "
                f"use an image_size divisible by {growth}, or other layers"
            )
        return image_size // growth


@dataclass(frozen=True)
class DiscriminatorNetwork(Settings):
    """Convolutions -> flatten -> dropout, noise -> logits; or an MLP; or downsampling residual blocks."""

    kind: _Kind = "conv"
    units: Annotated[
        _Units, Doc("Sizes of the hidden layers of an mlp, or of those after condition: merge.")
    ] = field(default_factory=list)
    filters: Annotated[_Units, Doc("Feature maps of each layer or block.")] = field(
        default_factory=lambda: [32, 64]
    )
    kernels: Annotated[_Pixels, Doc("Kernel sizes, as many as filters.")] = field(
        default_factory=lambda: [4, 4]
    )
    strides: Annotated[_Pixels, Doc("Strides, as many as filters; each divides the size.")] = field(
        default_factory=lambda: [2, 2]
    )
    activation: _Activation = "leaky_relu"
    negative_slope: _NegativeSlope = 0.2
    batch_norm: Annotated[bool, Doc("Batch normalisation from the second layer on.")] = True
    first_batch_norm: Annotated[bool, Doc("Batch normalisation in the first layer too.")] = False
    norm_after_activation: _NormAfterActivation = False
    spectral_norm: Annotated[
        bool, Doc("Scale every layer to a largest singular value of 1 (Miyato et al. 2018).")
    ] = False
    first_spectral_norm: Annotated[bool, Doc("Spectral normalisation in the first layer too.")] = True
    input_noise: Annotated[_Noise, Doc("Standard deviation of the noise added to images.")] = 0.0
    block_noise: Annotated[_Noise, Doc("Standard deviation of the noise added after each layer.")] = 0.0
    block_dropout: Annotated[_Dropout, Doc("Dropout after each layer.")] = 0.0
    head_dropout: Annotated[_Dropout, Doc("Dropout after the flatten.")] = 0.0
    head_noise: Annotated[_Noise, Doc("Standard deviation of the noise added after the flatten.")] = 0.0
    minibatch_std: Annotated[
        bool,
        Doc(
            "Add the standard deviation over the batch as a map before the flatten (Karras et al. 2018). An "
            "mlp gets it as a unit."
        ),
    ] = False
    condition: Annotated[
        Literal["none", "concat", "channel", "branch", "merge", "projection", "auxiliary"],
        Doc(
            "How labels enter. `concat`: their embedding beside the pixels of an mlp. `channel`: as maps "
            "beside the image (embedding 0: one constant map per label; one value per pixel: the map "
            "itself). `branch`: the same, but image and maps first pass a layer of their own (`embedding` "
            "maps each). `merge`: beside the features, before `units` more. `projection`: inner product "
            "with the features (Miyato and Koyama 2018). `auxiliary`: not at all, D predicts them (Odena et "
            "al. 2017)."
        ),
    ] = "none"
    embedding: Annotated[
        int, Interval(ge=0, le=65_536), Doc("Size of the embedding of labels. 0 uses the labels as they are.")
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_both(self)
        if (self.kind == "mlp" or self.condition == "merge") and not self.units:
            needing = "an mlp" if self.kind == "mlp" else "condition: merge"
            raise ValueError(f"{needing} needs units, the sizes of its hidden layers")
        if self.kind == "mlp":
            if self.condition in ("channel", "branch", "merge"):
                raise ValueError(
                    f"an mlp has no maps for condition: {self.condition}; use concat, projection or auxiliary"
                )
            return
        if self.condition == "concat":
            raise ValueError("condition: concat is for an mlp; use channel, branch, merge or projection")
        if self.kind == "resnet":
            if not self.filters:
                raise ValueError("a resnet needs filters")
            return
        _same_length(filters=self.filters, kernels=self.kernels, strides=self.strides)
