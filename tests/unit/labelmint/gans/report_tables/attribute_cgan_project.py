"""Attribute cGAN project (D), section 2.2: batch normalisation follows the activation."""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import LEAKY, Table

TABLES: dict[str, Table] = {
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
            f"conv 3>32 2x2/2 32px bias | {LEAKY} | BN 32",
            f"conv 5>32 2x2/2 32px bias | {LEAKY} | BN 32",
            f"conv 64>128 2x2/2 16px bias | {LEAKY} | BN 128",
            f"conv 128>256 2x2/2 8px bias | {LEAKY} | BN 256",
            f"conv 256>512 2x2/2 4px bias | {LEAKY} | BN 512",
            "linear 8192>1 bias",
        ],
    },
}
