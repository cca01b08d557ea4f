"""Fairness internship (A)."""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import LEAKY, SLIGHTLY_LEAKY, Rows, Table

_DCGAN_G = [
    "linear 100>12544 bias",
    f"deconv 256>128 3x3/2 14px | BN 128 | {SLIGHTLY_LEAKY}",
    f"deconv 128>64 3x3/1 14px | BN 64 | {SLIGHTLY_LEAKY}",
    "deconv 64>1 3x3/2 28px bias | tanh",
]
_FACES_SIZES = ((1024, 1024, 8), (1024, 512, 16), (512, 256, 32), (256, 128, 64))


def _fairness_g(norm: str) -> Rows:
    """Table 5: the outcome model, then the image path, whose blocks begin with their identity path."""
    rows = ["linear 16384>2048 | BN 2048 | tanh", "linear 2048>1 bias", "linear 100>16384 bias | relu"]
    for inputs, outputs, size in _FACES_SIZES:
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

TABLES: dict[str, Table] = {
    "vanilla_mlp_mnist": {  # table 1
        "G": [f"linear 128>128 bias | {SLIGHTLY_LEAKY}", "linear 128>784 bias | tanh"],
        "D": [f"linear 784>128 bias | {SLIGHTLY_LEAKY}", "linear 128>1 bias"],
    },
    "dcgan_mnist_report": {  # table 2
        "G": _DCGAN_G,
        "D": [
            f"conv 1>32 3x3/2 14px bias | {SLIGHTLY_LEAKY}",
            f"conv 32>64 3x3/2 7px | BN 64 | {SLIGHTLY_LEAKY}",
            f"conv 64>128 3x3/2 4px | BN 128 | {SLIGHTLY_LEAKY}",
            "linear 2048>1 bias",
        ],
    },
    "cgan_mnist": {  # table 3; embeddings as in the book that it follows
        "G": ["embedding 10>100", *_DCGAN_G],
        "D": [
            "embedding 10>784",
            f"conv 2>64 3x3/2 14px bias | {SLIGHTLY_LEAKY}",
            f"conv 64>64 3x3/2 7px | BN 64 | {SLIGHTLY_LEAKY}",
            f"conv 64>128 3x3/2 4px | BN 128 | {SLIGHTLY_LEAKY}",
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
            f"conv 3>16 3x3/2 16px bias | {LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 16>32 3x3/1 16px | BN 32 | {LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 32>64 3x3/2 8px | BN 64 | {LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 64>128 3x3/1 8px | BN 128 | {LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 128>256 3x3/2 4px | BN 256 | {LEAKY} | dropout 0.5 | noise 0.1",
            f"conv 256>512 3x3/1 4px | BN 512 | {LEAKY} | dropout 0.5 | noise 0.1",
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
