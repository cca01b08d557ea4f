"""Deep GANs practice (C): code and Keras summaries, which state biases too."""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import LEAKY, Table

TABLES: dict[str, Table] = {
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
            f"linear 100>6272 bias | {LEAKY}",
            "embedding 10>50",
            "linear 50>49 bias",
            f"deconv 129>128 4x4/2 14px bias | {LEAKY}",
            f"deconv 128>128 4x4/2 28px bias | {LEAKY}",
            "deconv 128>1 7x7/1 28px bias | tanh",
        ],
        "D": [
            "embedding 10>50",
            "linear 50>784 bias",
            f"conv 2>128 3x3/2 14px bias | {LEAKY}",
            f"conv 128>128 3x3/2 7px bias | {LEAKY} | dropout 0.4",
            "linear 6272>1 bias",
        ],
    },
}
