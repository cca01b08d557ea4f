"""DCGAN course report (B). It states no kernels; 5 x 5 is the DCGAN paper's."""

from __future__ import annotations

from tests.unit.labelmint.gans.network_rows import LEAKY, Rows, Table


def _g(first: int, *maps: tuple[int, int], stride: int = 2) -> Rows:
    """A linear layer, then (maps, pixels) of each deconvolution."""
    rows = [f"linear 128>{first * (maps[0][1] // stride) ** 2} | BN {first} | relu"]
    inputs, size = first, maps[0][1] // stride
    for outputs, pixels in maps:
        last = outputs == 3
        tail = " bias | tanh" if last else f" | BN {outputs} | relu"
        rows.append(f"deconv {inputs}>{outputs} 5x5/{pixels // size} {pixels}px{tail}")
        inputs, size = outputs, pixels
    return rows


def _d(size: int) -> Rows:
    features = 512 * (size // 8) ** 2
    return [
        f"conv 3>128 5x5/2 {size // 2}px bias | {LEAKY}",
        f"conv 128>256 5x5/2 {size // 4}px | BN 256 | {LEAKY}",
        f"conv 256>512 5x5/2 {size // 8}px | BN 512 | {LEAKY} | dropout 0.2 | noise 0.02",
        f"linear {features}>1 bias",
    ]


TABLES: dict[str, Table] = {
    # Section 5.1.2: 1024 x 4 x 4, then 512, 256, 128 and 64 with strides of 2.
    "dcgan_faces_64": {"G": _g(1024, (512, 8), (256, 16), (128, 32), (64, 64), (3, 64)), "D": _d(64)},
    # Section 5.1.4: five layers, 768, 512, 384 and 256; the fifth makes the image.
    "dcgan_bedrooms": {"G": _g(1024, (768, 8), (512, 16), (384, 32), (256, 64), (3, 64)), "D": _d(64)},
    # Section 5.1.5: the discriminator; the generator mirrors it.
    "dcgan_imagenet32": {"G": _g(512, (256, 8), (128, 16), (3, 32)), "D": _d(32)},
    # Section 5.1.6: three ways to 128 pixels.
    "dcgan_faces_128_wide": {
        "G": _g(1024, (512, 16), (256, 32), (128, 64), (64, 128), (3, 128)),
        "D": _d(128),
    },
    "dcgan_faces_128_deep": {
        "G": _g(1024, (512, 8), (256, 16), (128, 32), (64, 64), (32, 128), (3, 128)),
        "D": _d(128),
    },
    "dcgan_faces_128_stride": {
        "G": _g(1024, (512, 16), (256, 32), (128, 64), (64, 128), (3, 128), stride=4),
        "D": _d(128),
    },
}
