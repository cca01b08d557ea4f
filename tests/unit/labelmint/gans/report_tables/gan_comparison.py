"""GAN comparison (E), sections 2.2 (generators) and 2.3 (discriminators), by the numbers of their lists."""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import LEAKY, Rows, Table


def _mlp_g(inputs: int, pixels: int) -> Rows:
    """2.2, 1."""
    return [
        f"linear {inputs}>256 bias | {LEAKY}",
        f"linear 256>512 bias | {LEAKY}",
        f"linear 512>1024 bias | {LEAKY}",
        f"linear 1024>{pixels} bias | tanh",
    ]


def _mlp_d(inputs: int) -> Rows:
    """2.3, 1."""
    return [
        f"linear {inputs}>1024 bias | {LEAKY} | dropout 0.3",
        f"linear 1024>512 bias | {LEAKY} | dropout 0.3",
        f"linear 512>256 bias | {LEAKY} | dropout 0.3",
        "linear 256>1 bias",
    ]


def _conv_g(channels: int, inputs: int = 100) -> Rows:
    """2.2, 2."""
    return [
        f"linear {inputs}>16384 | BN 1024 | {LEAKY}",
        f"deconv 1024>512 4x4/2 8px | BN 512 | {LEAKY}",
        f"deconv 512>256 4x4/2 16px | BN 256 | {LEAKY}",
        f"deconv 256>{channels} 4x4/2 32px bias | tanh",
    ]


def _conv_d(channels: int) -> Rows:
    """2.3, 2."""
    return [
        f"conv {channels}>256 4x4/2 16px | BN 256 | {LEAKY}",
        f"conv 256>512 4x4/2 8px | BN 512 | {LEAKY}",
        f"conv 512>1024 4x4/2 4px | BN 1024 | {LEAKY}",
        "linear 16384>1 bias",
    ]


_CONV_FACES: Table = {
    "G": [  # 2.2, 3, whose row of 128 maps lacks what follows each other one
        *_conv_g(3)[:3],
        f"deconv 256>128 4x4/2 32px | BN 128 | {LEAKY}",
        "deconv 128>3 4x4/2 64px bias | tanh",
    ],
    "D": [  # 2.3, 3
        f"conv 3>128 4x4/2 32px | BN 128 | {LEAKY}",
        f"conv 128>256 4x4/2 16px | BN 256 | {LEAKY}",
        f"conv 256>512 4x4/2 8px | BN 512 | {LEAKY}",
        f"conv 512>1024 4x4/2 4px | BN 1024 | {LEAKY}",
        "linear 16384>1 bias",
    ],
}


def _dcgan(channels: int) -> Table:
    """2.2, 4, and 2.3, 4, with the strides that its sizes need."""
    return {
        "G": [
            "linear 100>2048 | BN 128 | relu",
            "deconv 128>64 4x4/2 8px | BN 64 | relu",
            "deconv 64>32 4x4/2 16px | BN 32 | relu",
            f"deconv 32>{channels} 4x4/2 32px bias | tanh",
        ],
        "D": [
            f"conv {channels}>32 4x4/2 16px bias | {LEAKY}",
            f"conv 32>64 4x4/2 8px | BN 64 | {LEAKY}",
            f"conv 64>128 4x4/2 4px | BN 128 | {LEAKY}",
            "linear 2048>1 bias",
        ],
    }


TABLES: dict[str, Table] = {
    "vanilla_mlp_mnist_deep": {"G": _mlp_g(100, 784), "D": _mlp_d(784)},
    "vanilla_mlp_cifar10": {"G": _mlp_g(100, 3072), "D": _mlp_d(3072)},
    "wgan_mlp_mnist": {"G": _mlp_g(100, 784), "D": _mlp_d(784)},
    "cgan_mlp_mnist": {  # 6 of both lists
        "G": ["embedding 10>10", *_mlp_g(110, 784)],
        "D": ["embedding 10>10", *_mlp_d(794)],
    },
    "vanilla_conv_mnist": {"G": _conv_g(1), "D": _conv_d(1)},
    "vanilla_conv_cifar10": {"G": _conv_g(3), "D": _conv_d(3)},
    "wgan_conv_cifar10": {"G": _conv_g(3), "D": _conv_d(3)},
    "cgan_conv_cifar10": {  # 7 of both lists
        "G": ["embedding 10>10", f"linear 110>220 bias | {LEAKY}", *_conv_g(3, 220)],
        "D": [
            *_conv_d(3)[:3],
            "linear 16384>1024 bias",
            "embedding 10>10",
            f"linear 1034>1024 bias | {LEAKY}",
            "linear 1024>1 bias",
        ],
    },
    "vanilla_conv_faces": _CONV_FACES,
    "wgan_conv_faces": _CONV_FACES,
    "dcgan_mnist": _dcgan(1),
    "dcgan_cifar10": _dcgan(3),
    "dcgan_faces": {  # 2.2, 5, and 2.3, 5, with the strides that its sizes need
        "G": [
            "linear 100>8192 bias | relu",
            "deconv 512>256 4x4/2 8px | BN 256 | relu",
            "deconv 256>128 4x4/2 16px | BN 128 | relu",
            "deconv 128>64 4x4/2 32px | BN 64 | relu",
            "deconv 64>3 4x4/2 64px bias | tanh",
        ],
        "D": [
            f"conv 3>64 4x4/2 32px bias | {LEAKY}",
            f"conv 64>128 4x4/2 16px | BN 128 | {LEAKY}",
            f"conv 128>256 4x4/2 8px | BN 256 | {LEAKY}",
            f"conv 256>512 4x4/2 4px | BN 512 | {LEAKY}",
            "linear 8192>1 bias",
        ],
    },
}
