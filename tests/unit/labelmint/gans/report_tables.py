"""The networks of the reports, typed from their tables, in the notation of `network_rows`.

Where a table contradicts itself, or says nothing, the experiment's comment says what is built, and so do the
comments here. No table states biases: a layer has one unless batch normalisation follows it directly, which
would remove it. A transposed convolution from 1 x 1 is a linear layer, and so is a convolution to 1 x 1.
"""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import Rows

Table = dict[str, Rows]

_LEAKY, _SLIGHTLY_LEAKY = "leaky_relu 0.2", "leaky_relu 0.01"


# Fairness internship (A).

_A_DCGAN_G = [
    "linear 100>12544 bias",
    f"deconv 256>128 3x3/2 14px | BN 128 | {_SLIGHTLY_LEAKY}",
    f"deconv 128>64 3x3/1 14px | BN 64 | {_SLIGHTLY_LEAKY}",
    "deconv 64>1 3x3/2 28px bias | tanh",
]
_A_FACES_SIZES = ((1024, 1024, 8), (1024, 512, 16), (512, 256, 32), (256, 128, 64))


def _fairness_g(norm: str) -> Rows:
    """Table 5: the outcome model, then the image path, whose blocks begin with their identity path."""
    rows = ["linear 16384>2048 | BN 2048 | tanh", "linear 2048>1 bias", "linear 100>16384 bias | relu"]
    for inputs, outputs, size in _A_FACES_SIZES:
        tail = f"{outputs} 3x3/1 {size}px | {norm} {outputs}"
        rows += [f"conv {inputs}>{tail}", f"conv {inputs}>{tail} | relu", f"conv {outputs}>{tail} | relu"]
    # The tanh of the image is no layer here.
    return [*rows, "conv 128>3 3x3/1 64px bias"]


def _fairness_d() -> Rows:
    """Table 6 up to its heads. Block 3 has 512 filters, since 128 cannot be added to the 512 beside them."""
    rows = ["conv 3>64 3x3/1 64px bias | relu"]
    for inputs, outputs, size in ((64, 128, 64), (128, 256, 32), (256, 512, 16), (512, 1024, 8)):
        rows.append(f"conv {inputs}>{outputs} 1x1/1 {size}px SN bias | relu")
        rows.append(f"conv {inputs}>{outputs} 3x3/1 {size}px SN bias | relu")
        rows.append(f"conv {outputs}>{outputs} 3x3/1 {size}px SN bias | relu | relu")
    return rows


def _fairness_head(inputs: int) -> Rows:
    return [f"linear {inputs}>128 SN bias | relu", "linear 128>1 SN bias"]


_FAIRNESS_Y = ["linear 1>128 SN bias | relu", *_fairness_head(128)]

_A: dict[str, Table] = {
    "vanilla_mlp_mnist": {  # table 1
        "G": [f"linear 128>128 bias | {_SLIGHTLY_LEAKY}", "linear 128>784 bias | tanh"],
        "D": [f"linear 784>128 bias | {_SLIGHTLY_LEAKY}", "linear 128>1 bias"],
    },
    "dcgan_mnist_report": {  # table 2
        "G": _A_DCGAN_G,
        "D": [
            f"conv 1>32 3x3/2 14px bias | {_SLIGHTLY_LEAKY}",
            f"conv 32>64 3x3/2 7px | BN 64 | {_SLIGHTLY_LEAKY}",
            f"conv 64>128 3x3/2 4px | BN 128 | {_SLIGHTLY_LEAKY}",
            "linear 2048>1 bias",
        ],
    },
    "cgan_mnist": {  # table 3; embeddings as in the book that it follows
        "G": ["embedding 10>100", *_A_DCGAN_G],
        "D": [
            "embedding 10>784",
            f"conv 2>64 3x3/2 14px bias | {_SLIGHTLY_LEAKY}",
            f"conv 64>64 3x3/2 7px | BN 64 | {_SLIGHTLY_LEAKY}",
            f"conv 64>128 3x3/2 4px | BN 128 | {_SLIGHTLY_LEAKY}",
            "linear 2048>1 bias",
        ],
    },
    "acgan_cifar10": {  # table 4; 384 maps of 4 x 4, where it has 384 units
        "G": [
            "linear 110>6144 bias | relu",
            "deconv 384>192 5x5/2 8px | BN 192 | relu",
            "deconv 192>96 5x5/2 16px | BN 96 | relu",
            "deconv 96>3 5x5/2 32px bias | tanh",
        ],
        "D": [
            f"conv 3>16 3x3/2 16px bias | {_LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 16>32 3x3/1 16px | BN 32 | {_LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 32>64 3x3/2 8px | BN 64 | {_LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 64>128 3x3/1 8px | BN 128 | {_LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 128>256 3x3/2 4px | BN 256 | {_LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 256>512 3x3/1 4px | BN 512 | {_LEAKY} | dropout 0.5 | noise 0.1",
            "linear 8192>11 bias",
        ],
    },
    "fairness_gan_faces_report": {  # tables 5 and 6; how labels enter is in the figures
        "G": ["embedding 1>100", "linear 101>16384 | BN 16384 | tanh", *_fairness_g("BN")],
        "D": [
            *_fairness_d(),
            "linear 1>16384 SN bias",
            "conv 2048>512 3x3/1 4px SN bias | relu",
            *_fairness_head(8192),
            *2 * _fairness_head(16384),
            *_FAIRNESS_Y,
        ],
    },
    "fairness_gan_faces": {  # the same with what the report lacked
        "G": ["linear 101>16384 | BN 16384 | tanh", *_fairness_g("CBN")],
        "D": [
            *_fairness_d(),
            *_fairness_head(16384),
            "linear 1>16384 SN",
            *2 * _fairness_head(16384),
            *_FAIRNESS_Y,
        ],
    },
}


# DCGAN course report (B). It states no kernels; 5 x 5 is the DCGAN paper's.


def _b_g(first: int, *maps: tuple[int, int], stride: int = 2) -> Rows:
    """A linear layer, then (maps, pixels) of each deconvolution."""
    rows = [f"linear 128>{first * (maps[0][1] // stride) ** 2} | BN {first} | relu"]
    inputs, size = first, maps[0][1] // stride
    for outputs, pixels in maps:
        last = outputs == 3
        tail = " bias | tanh" if last else f" | BN {outputs} | relu"
        rows.append(f"deconv {inputs}>{outputs} 5x5/{pixels // size} {pixels}px{tail}")
        inputs, size = outputs, pixels
    return rows


def _b_d(size: int) -> Rows:
    features = 512 * (size // 8) ** 2
    return [
        f"conv 3>128 5x5/2 {size // 2}px bias | {_LEAKY}",
        f"conv 128>256 5x5/2 {size // 4}px | BN 256 | {_LEAKY}",
        f"conv 256>512 5x5/2 {size // 8}px | BN 512 | {_LEAKY} | dropout 0.2 | noise 0.02",
        f"linear {features}>1 bias",
    ]


_B: dict[str, Table] = {
    # Section 5.1.2: 1024 x 4 x 4, then 512, 256, 128 and 64 with strides of 2.
    "dcgan_faces_64": {"G": _b_g(1024, (512, 8), (256, 16), (128, 32), (64, 64), (3, 64)), "D": _b_d(64)},
    # Section 5.1.4: five layers, 768, 512, 384 and 256; the fifth makes the image.
    "dcgan_bedrooms": {"G": _b_g(1024, (768, 8), (512, 16), (384, 32), (256, 64), (3, 64)), "D": _b_d(64)},
    # Section 5.1.5: the discriminator; the generator mirrors it.
    "dcgan_imagenet32": {"G": _b_g(512, (256, 8), (128, 16), (3, 32)), "D": _b_d(32)},
    # Section 5.1.6: three ways to 128 pixels.
    "dcgan_faces_128_wide": {
        "G": _b_g(1024, (512, 16), (256, 32), (128, 64), (64, 128), (3, 128)),
        "D": _b_d(128),
    },
    "dcgan_faces_128_deep": {
        "G": _b_g(1024, (512, 8), (256, 16), (128, 32), (64, 64), (32, 128), (3, 128)),
        "D": _b_d(128),
    },
    "dcgan_faces_128_stride": {
        "G": _b_g(1024, (512, 16), (256, 32), (128, 64), (64, 128), (3, 128), stride=4),
        "D": _b_d(128),
    },
}


# Deep GANs practice (C): code and Keras summaries, which state biases too.

_C: dict[str, Table] = {
    "dcgan_mnist_tutorial": {  # figures 7 and 10
        "G": [
            "linear 100>12544 | BN 12544 | leaky_relu 0.3",
            "deconv 256>128 5x5/1 7px | BN 128 | leaky_relu 0.3",
            "deconv 128>64 5x5/2 14px | BN 64 | leaky_relu 0.3",
            "deconv 64>1 5x5/2 28px | tanh",
        ],
        "D": [
            "conv 1>64 5x5/2 14px bias | leaky_relu 0.3 | dropout 0.3",
            "conv 64>128 5x5/2 7px bias | leaky_relu 0.3 | dropout 0.3",
            "linear 6272>1 bias",
        ],
    },
    "dcgan_cifar10_tutorial": {  # section 2
        "G": [
            "linear 100>16384 | BN 16384 | leaky_relu 0.3",
            "deconv 256>128 5x5/1 8px | BN 128 | leaky_relu 0.3",
            "deconv 128>64 5x5/2 16px | BN 64 | leaky_relu 0.3",
            "deconv 64>3 5x5/2 32px | tanh",
        ],
        "D": [
            "conv 3>64 5x5/2 16px bias | leaky_relu 0.3 | dropout 0.3",
            "conv 64>128 5x5/2 8px bias | leaky_relu 0.3 | dropout 0.3",
            "conv 128>256 5x5/1 8px bias | leaky_relu 0.3 | dropout 0.3",
            "linear 16384>1 bias",
        ],
    },
    "cgan_fashion": {  # section 3.2; its last convolution has a stride of 1, and so equals a transposed one
        "G": [
            f"linear 100>6272 bias | {_LEAKY}",
            "embedding 10>50",
            "linear 50>49 bias",
            f"deconv 129>128 4x4/2 14px bias | {_LEAKY}",
            f"deconv 128>128 4x4/2 28px bias | {_LEAKY}",
            "deconv 128>1 7x7/1 28px bias | tanh",
        ],
        "D": [
            "embedding 10>50",
            "linear 50>784 bias",
            f"conv 2>128 3x3/2 14px bias | {_LEAKY}",
            f"conv 128>128 3x3/2 7px bias | {_LEAKY} | dropout 0.4",
            "linear 6272>1 bias",
        ],
    },
}


# Attribute cGAN project (D), section 2.2: batch normalisation follows the activation.

_D: dict[str, Table] = {
    "attribute_cgan_faces": {
        "G": [
            "linear 100>4096 bias | relu | BN 256",
            "linear 5>4096 bias | relu | BN 256",
            "deconv 512>256 5x5/2 8px bias | relu | BN 256",
            "deconv 256>128 5x5/2 16px bias | relu | BN 128",
            "deconv 128>64 5x5/2 32px bias | relu | BN 64",
            "deconv 64>3 5x5/2 64px bias | tanh",
        ],
        "D": [
            f"conv 3>32 2x2/2 32px bias | {_LEAKY} | BN 32",
            f"conv 5>32 2x2/2 32px bias | {_LEAKY} | BN 32",
            f"conv 64>128 2x2/2 16px bias | {_LEAKY} | BN 128",
            f"conv 128>256 2x2/2 8px bias | {_LEAKY} | BN 256",
            f"conv 256>512 2x2/2 4px bias | {_LEAKY} | BN 512",
            "linear 8192>1 bias",
        ],
    },
}


# GAN comparison (E), sections 2.2 (generators) and 2.3 (discriminators), by the numbers of their lists.


def _e_mlp_g(inputs: int, pixels: int) -> Rows:
    """2.2, 1."""
    return [
        f"linear {inputs}>256 bias | {_LEAKY}",
        f"linear 256>512 bias | {_LEAKY}",
        f"linear 512>1024 bias | {_LEAKY}",
        f"linear 1024>{pixels} bias | tanh",
    ]


def _e_mlp_d(inputs: int) -> Rows:
    """2.3, 1."""
    return [
        f"linear {inputs}>1024 bias | {_LEAKY} | dropout 0.3",
        f"linear 1024>512 bias | {_LEAKY} | dropout 0.3",
        f"linear 512>256 bias | {_LEAKY} | dropout 0.3",
        "linear 256>1 bias",
    ]


def _e_conv_g(channels: int, inputs: int = 100) -> Rows:
    """2.2, 2."""
    return [
        f"linear {inputs}>16384 | BN 1024 | {_LEAKY}",
        f"deconv 1024>512 4x4/2 8px | BN 512 | {_LEAKY}",
        f"deconv 512>256 4x4/2 16px | BN 256 | {_LEAKY}",
        f"deconv 256>{channels} 4x4/2 32px bias | tanh",
    ]


def _e_conv_d(channels: int) -> Rows:
    """2.3, 2."""
    return [
        f"conv {channels}>256 4x4/2 16px | BN 256 | {_LEAKY}",
        f"conv 256>512 4x4/2 8px | BN 512 | {_LEAKY}",
        f"conv 512>1024 4x4/2 4px | BN 1024 | {_LEAKY}",
        "linear 16384>1 bias",
    ]


_E_CONV_FACES: Table = {
    "G": [  # 2.2, 3, whose row of 128 maps lacks what follows each other one
        *_e_conv_g(3)[:3],
        f"deconv 256>128 4x4/2 32px | BN 128 | {_LEAKY}",
        "deconv 128>3 4x4/2 64px bias | tanh",
    ],
    "D": [  # 2.3, 3
        f"conv 3>128 4x4/2 32px | BN 128 | {_LEAKY}",
        f"conv 128>256 4x4/2 16px | BN 256 | {_LEAKY}",
        f"conv 256>512 4x4/2 8px | BN 512 | {_LEAKY}",
        f"conv 512>1024 4x4/2 4px | BN 1024 | {_LEAKY}",
        "linear 16384>1 bias",
    ],
}


def _e_dcgan(channels: int) -> Table:
    """2.2, 4, and 2.3, 4, with the strides that its sizes need."""
    return {
        "G": [
            "linear 100>2048 | BN 128 | relu",
            "deconv 128>64 4x4/2 8px | BN 64 | relu",
            "deconv 64>32 4x4/2 16px | BN 32 | relu",
            f"deconv 32>{channels} 4x4/2 32px bias | tanh",
        ],
        "D": [
            f"conv {channels}>32 4x4/2 16px bias | {_LEAKY}",
            f"conv 32>64 4x4/2 8px | BN 64 | {_LEAKY}",
            f"conv 64>128 4x4/2 4px | BN 128 | {_LEAKY}",
            "linear 2048>1 bias",
        ],
    }


_E: dict[str, Table] = {
    "vanilla_mlp_mnist_deep": {"G": _e_mlp_g(100, 784), "D": _e_mlp_d(784)},
    "vanilla_mlp_cifar10": {"G": _e_mlp_g(100, 3072), "D": _e_mlp_d(3072)},
    "wgan_mlp_mnist": {"G": _e_mlp_g(100, 784), "D": _e_mlp_d(784)},
    "cgan_mlp_mnist": {  # 6 of both lists
        "G": ["embedding 10>10", *_e_mlp_g(110, 784)],
        "D": ["embedding 10>10", *_e_mlp_d(794)],
    },
    "vanilla_conv_mnist": {"G": _e_conv_g(1), "D": _e_conv_d(1)},
    "vanilla_conv_cifar10": {"G": _e_conv_g(3), "D": _e_conv_d(3)},
    "wgan_conv_cifar10": {"G": _e_conv_g(3), "D": _e_conv_d(3)},
    "cgan_conv_cifar10": {  # 7 of both lists
        "G": ["embedding 10>10", f"linear 110>220 bias | {_LEAKY}", *_e_conv_g(3, 220)],
        "D": [
            *_e_conv_d(3)[:3],
            "linear 16384>1024 bias",
            "embedding 10>10",
            f"linear 1034>1024 bias | {_LEAKY}",
            "linear 1024>1 bias",
        ],
    },
    "vanilla_conv_faces": _E_CONV_FACES,
    "wgan_conv_faces": _E_CONV_FACES,
    "dcgan_mnist": _e_dcgan(1),
    "dcgan_cifar10": _e_dcgan(3),
    "dcgan_faces": {  # 2.2, 5, and 2.3, 5, with the strides that its sizes need
        "G": [
            "linear 100>8192 bias | relu",
            "deconv 512>256 4x4/2 8px | BN 256 | relu",
            "deconv 256>128 4x4/2 16px | BN 128 | relu",
            "deconv 128>64 4x4/2 32px | BN 64 | relu",
            "deconv 64>3 4x4/2 64px bias | tanh",
        ],
        "D": [
            f"conv 3>64 4x4/2 32px bias | {_LEAKY}",
            f"conv 64>128 4x4/2 16px | BN 128 | {_LEAKY}",
            f"conv 128>256 4x4/2 8px | BN 256 | {_LEAKY}",
            f"conv 256>512 4x4/2 4px | BN 512 | {_LEAKY}",
            "linear 8192>1 bias",
        ],
    },
}

TABLES = {**_A, **_B, **_C, **_D, **_E}
