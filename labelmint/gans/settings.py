"""Params of networks and of their training. Light: nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from labelmint.runtime.settings import within

Activation = Literal["relu", "leaky_relu", "selu"]

COLLAPSED_BELOW = 0.25
"""Diversity of minted images, that of real ones being 1, below which a generator counts as collapsed."""


# Whatever a stranger's description says; a network of such layers can at least be described.
_MOST_LAYERS = 64
_MOST_MAPS = 65_536
_MOST_PIXELS = 1024  # of a kernel or a stride, as dataset.image_size


def _sizes(owner: str, most: int, **lists: list[int]) -> None:
    for name, values in lists.items():
        if len(values) > _MOST_LAYERS:
            raise ValueError(f"{owner}.{name} has {len(values)} entries; at most {_MOST_LAYERS} layers are made")
        if values and not 1 <= min(values) <= max(values) <= most:
            raise ValueError(f"{owner}.{name} must list whole numbers of 1 to {most}, got {values}")


def _same_length(owner: str, **lists: list[int]) -> None:
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{owner}: " + ", ".join(f"{name} has {n} entries" for name, n in lengths.items()) + "; they must agree"
        )
    for name, values in lists.items():
        if not values or min(values) < 1:
            raise ValueError(f"{owner}.{name} must list whole numbers of at least 1, got {values}")
        _sizes(owner, _MOST_MAPS if name == "filters" else _MOST_PIXELS, **{name: values})


def _units(owner: str, units: list[int]) -> None:
    if not units:
        raise ValueError(f"{owner}.units must list the sizes of hidden layers, got {units}")


def _embedding(owner: str, condition: str, size: int, needing: tuple[str, ...]) -> None:
    within(owner, 0, 65536, embedding=size)
    if condition in needing and size < 1:
        raise ValueError(f"{owner}: condition: {condition} needs embedding, its number of maps")


@dataclass(frozen=True)
class GeneratorNetwork:
    """Latent -> dense -> transposed convolutions -> tanh; or an MLP; or residual blocks that upsample.

    kind: conv; mlp, of `units` hidden units; resnet, of `filters` maps per block, each of which doubles the size.
    units: of hidden layers, before the dense layer of a conv; of an mlp the only ones.
    dense_filters: feature maps after the dense layer, whose height is image_size / product of the strides.
    dense_norm: batch normalisation after the dense layer: of each map, of each of its units, or none.
    dense_activation: whether an activation follows it.
    filters: feature maps of each hidden transposed convolution; more entries make a deeper network.
    kernels, strides: one entry more than filters: the last layer makes the image, with a bias if `final_bias`.
    condition: how labels come in. concat: their embedding beside the latent; product: latent times embedding; channel: one map
        more at the start; branch: `embedding` maps of their own at the start, normalised as the latent's; batch_norm: each
        label has its own scale and shift in every batch normalisation.
    embedding: size of the labels' embedding; 0 takes the labels as they are (one-hot or multi-hot).
    """

    kind: Literal["conv", "mlp", "resnet"] = "conv"
    units: list[int] = field(default_factory=list)
    dense_filters: int = 64
    dense_norm: Literal["maps", "units", "none"] = "maps"
    dense_activation: bool = True
    filters: list[int] = field(default_factory=lambda: [32])
    kernels: list[int] = field(default_factory=lambda: [4, 4])
    strides: list[int] = field(default_factory=lambda: [2, 2])
    final_bias: bool = True
    activation: Activation = "relu"
    negative_slope: float = 0.2
    batch_norm: bool = True
    condition: Literal["none", "concat", "product", "channel", "branch", "batch_norm"] = "none"
    embedding: int = 0

    def __post_init__(self) -> None:
        _embedding("generator", self.condition, self.embedding, ("branch",))
        _sizes("generator", _MOST_MAPS, units=self.units, filters=self.filters, dense_filters=[self.dense_filters])
        if self.kind == "mlp":
            _units("generator", self.units)
            if self.condition not in ("none", "concat", "product"):
                raise ValueError(
                    f"generator: an mlp has no maps for condition: {self.condition}; use concat or product"
                )
            return
        if self.condition == "batch_norm" and not self.batch_norm:
            raise ValueError("generator: condition: batch_norm needs batch_norm: true")
        if self.kind == "resnet":
            if not self.filters or self.condition in ("channel", "branch"):
                raise ValueError(
                    "generator: a resnet needs filters, and takes condition: concat, product or batch_norm"
                )
            return
        _same_length("generator", kernels=self.kernels, strides=self.strides)
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
        if self.kind == "mlp":
            return image_size
        growth = 2 ** len(self.filters) if self.kind == "resnet" else prod(self.strides)
        if image_size % growth:
            told = f"{len(self.filters)} filters" if self.kind == "resnet" else f"strides {self.strides}"
            raise ValueError(
                f"generator.{told} multiply the size by {growth}, which cannot make {image_size} pixels; use an image_size divisible by {growth}, or others"
            )
        return image_size // growth


@dataclass(frozen=True)
class DiscriminatorNetwork:
    """Convolutions -> flatten -> (dropout, noise) -> logits; or an MLP; or residual blocks that halve the size.

    kind: conv; mlp, of `units` hidden units; resnet, of `filters` maps per block.
    batch_norm: of a conv, from the second layer on; first_batch_norm: in the first too. spectral_norm: every layer's largest singular
        value is 1 (Miyato et al. 2018).
    input_noise, block_noise, head_noise: standard deviations, of the images, after each layer and after the flatten.
    block_dropout: after each layer. head_dropout: after the flatten.
    minibatch_std: one map (of an mlp one unit) more before the flatten, the standard deviation over the batch (Karras et al. 2018).
    condition: how labels come in. concat: their embedding beside the pixels of an mlp; channel: as maps beside the image
        (embedding 0: one constant map a label); branch: the same, but image and maps pass a layer of their own
        (`embedding` maps each) first; merge: beside the features, before `units` more; projection: inner product with the
        features (Miyato and Koyama 2018); auxiliary: not at all, D has to tell them (Odena et al. 2017).
    embedding: size of the labels' embedding; 0 takes the labels as they are.
    """

    kind: Literal["conv", "mlp", "resnet"] = "conv"
    units: list[int] = field(default_factory=list)
    filters: list[int] = field(default_factory=lambda: [32, 64])
    kernels: list[int] = field(default_factory=lambda: [4, 4])
    strides: list[int] = field(default_factory=lambda: [2, 2])
    activation: Activation = "leaky_relu"
    negative_slope: float = 0.2
    batch_norm: bool = True
    first_batch_norm: bool = False
    spectral_norm: bool = False
    input_noise: float = 0.0
    block_noise: float = 0.0
    block_dropout: float = 0.0
    head_dropout: float = 0.0
    head_noise: float = 0.0
    minibatch_std: bool = False
    condition: Literal["none", "concat", "channel", "branch", "merge", "projection", "auxiliary"] = "none"
    embedding: int = 0

    def __post_init__(self) -> None:
        _embedding("discriminator", self.condition, self.embedding, ("branch",))
        _sizes("discriminator", _MOST_MAPS, units=self.units, filters=self.filters)
        within("discriminator", 0, 0.95, block_dropout=self.block_dropout, head_dropout=self.head_dropout)
        within("discriminator", 0, 10, input_noise=self.input_noise, block_noise=self.block_noise, head_noise=self.head_noise)  # fmt: skip
        if self.kind == "mlp":
            _units("discriminator", self.units)
            if self.condition in ("channel", "branch", "merge"):
                raise ValueError(f"discriminator: an mlp has no maps for condition: {self.condition}; use concat, projection or auxiliary")  # fmt: skip
            return
        if self.condition == "concat":
            raise ValueError("discriminator: condition: concat is for an mlp; use channel, branch, merge or projection")
        if self.condition == "merge":
            _units("discriminator", self.units)
        if self.kind == "resnet":
            if not self.filters or min(self.filters) < 1:
                raise ValueError("discriminator: a resnet needs filters of at least 1")
            return
        _same_length("discriminator", filters=self.filters, kernels=self.kernels, strides=self.strides)


@dataclass(frozen=True)
class Optimizer:
    """kind: adam; rmsprop, whose smoothing constant is beta2 and which has no beta1."""

    kind: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        within("optimizer", 0, 0.99999, beta1=self.beta1, beta2=self.beta2)


Labels = Literal["per_class", "conditional", "multi_hot", "none"]


@dataclass(frozen=True)
class Family:
    """`families.<generator>` in params.yaml: everything that makes one generator differ from another.

    labels: per_class (one independent generator per class), conditional (one generator, told the class), multi_hot (one, told
        the attributes), none (one for all images, whose minted images have no labels).
    update: sequential (D on real, D on fresh fakes, G on fresh fakes through the updated D), alternating (D on real and fresh
        fakes at once, then G on fresh fakes) or simultaneous (one batch of fakes, both gradients at once).
    n_critic: of D for one of G, each on real images of its own.
    label_smoothing: the target of real images is 1 - label_smoothing (one-sided).
    r1, r2: penalty on the squared gradient of D at real and at minted images, r/2 times its mean (Mescheder et al. 2018).
    gradient_penalty: weight of (norm of D's gradient - 1)^2 between real and minted images (Gulrajani et al. 2017).
    clip: largest size of D's weights, set after each of its steps (Arjovsky et al. 2017); 0: no limit.
    lecam: weight of LeCam regularisation (Tseng et al. 2021).
    auxiliary_weight, auxiliary_weight_generator: of the loss of telling the labels, in D's and in G's objective.
    fairness, protected, outcome, fairness_weight: of fairness_gan: which attribute the minted outcome must not tell.
    """

    labels: Labels = "per_class"
    latent_size: int = 64
    latent_distribution: Literal["normal", "uniform"] = "normal"
    generator: GeneratorNetwork = field(default_factory=GeneratorNetwork)
    discriminator: DiscriminatorNetwork = field(default_factory=DiscriminatorNetwork)
    initialization: Literal["normal", "glorot_uniform"] = "normal"
    update: Literal["sequential", "alternating", "simultaneous"] = "sequential"
    n_critic: int = 1
    label_smoothing: float = 0.0
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 0.0
    clip: float = 0.0
    lecam: float = 0.0
    auxiliary_weight: float = 1.0
    auxiliary_weight_generator: float = 1.0
    fairness: Literal["none", "demographic_parity", "equality_of_opportunity"] = "none"
    protected: str = ""
    outcome: str = ""
    fairness_weight: float = 1.0
    generator_optimizer: Optimizer = field(default_factory=Optimizer)
    discriminator_optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        if not 1 <= self.latent_size <= 4096:
            raise ValueError(f"latent_size must be 1 to 4096, got {self.latent_size}")
        within("family", 0, 0.5, label_smoothing=self.label_smoothing)
        within("family", 1, 100, n_critic=self.n_critic)
        penalties = {"r1": self.r1, "r2": self.r2, "gradient_penalty": self.gradient_penalty, "lecam": self.lecam}
        within("family", 0, 1e4, **penalties, clip=self.clip, fairness_weight=self.fairness_weight)
        within("family", 0, 1e4, auxiliary_weight=self.auxiliary_weight, auxiliary_weight_generator=self.auxiliary_weight_generator)  # fmt: skip
        told = self.labels in ("conditional", "multi_hot")
        for player, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if told != (network.condition != "none"):
                wanted = f"a condition other than {network.condition}" if told else "condition: none"
                raise ValueError(f"labels: {self.labels} needs {player} with {wanted}")
        if self.update == "sequential" and self.gradient_penalty:
            raise ValueError("gradient_penalty lies between real and minted images; it needs update: alternating or simultaneous")  # fmt: skip
        if self.gradient_penalty and self.discriminator.batch_norm and self.discriminator.kind == "conv":
            raise ValueError("gradient_penalty is per image; it needs discriminator.batch_norm: false")
        if self.update == "simultaneous" and self.n_critic > 1:
            raise ValueError("update: simultaneous takes one step of each; n_critic needs alternating or sequential")
        if self.fairness != "none" and not (self.protected and self.outcome and self.protected != self.outcome):
            raise ValueError("fairness needs `protected` and `outcome`, two of dataset.attributes")


@dataclass(frozen=True)
class Synthesis:
    """`synthesis` in params.yaml. images_per_class: how many to mint of each class."""

    images_per_class: int = 1000

    def __post_init__(self) -> None:
        if not 2 <= self.images_per_class <= 10_000_000:
            raise ValueError(f"images_per_class must be 2 to 10000000, got {self.images_per_class}")
