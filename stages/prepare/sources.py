"""The data sets we can read. Each reader gives images as they are; `preprocess` brings them to size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np

from stages.prepare.download import locate
from stages.prepare.errors import InputError
from stages.prepare.idx import read_idx


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, H, W). labels: int64 (N,). source_index: int64 (N,), the position in the source."""

    images: np.ndarray
    labels: np.ndarray
    source_index: np.ndarray


@dataclass(frozen=True)
class Source:
    """What a reader returns. test is None where the source has no split of its own."""

    title: str
    licence: str
    classes: list[str]
    train: Split
    test: Optional[Split]
    checksums: dict[str, str] = field(default_factory=dict)


def read_digits(raw: Path) -> Source:
    """1,797 real handwritten digits, 8x8, values 0..16, bundled with scikit-learn.

    Source: Alpaydin and Kaynak, UCI "Optical Recognition of Handwritten Digits", the test part.
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)
    labels = bundle.target.astype(np.int64)
    return Source(
        title="UCI Optical Recognition of Handwritten Digits (scikit-learn's bundle)",
        licence="CC BY 4.0",
        classes=[str(digit) for digit in range(10)],
        train=Split(images, labels, np.arange(len(labels))),
        test=None,
    )


_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_MNIST_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def read_mnist(raw: Path) -> Source:
    """70,000 handwritten digits, 28x28, with the published split of 60,000 and 10,000."""

    def part(prefix: str) -> Split:
        images = _idx(f"{prefix}-images-idx3-ubyte", 3, raw)
        labels = _idx(f"{prefix}-labels-idx1-ubyte", 1, raw).astype(np.int64)
        if len(images) != len(labels):
            raise InputError(
                f"MNIST {prefix}: {len(images)} images but {len(labels)} labels; the files do not belong together"
            )
        return Split(images, labels, np.arange(len(labels)))

    return Source(
        title="MNIST (LeCun, Cortes, Burges)",
        licence="CC BY-SA 3.0",
        classes=[str(digit) for digit in range(10)],
        train=part("train"),
        test=part("t10k"),
        checksums={f"{name} (md5, decompressed)": md5 for name, md5 in _MNIST_MD5.items()},
    )


def _idx(name: str, dimensions: int, raw: Path) -> np.ndarray:
    names = [f"{folder}{name}{suffix}" for folder in ("MNIST/raw/", "mnist/", "") for suffix in (".gz", "")]
    path = locate(names, raw, [f"{address}{name}.gz" for address in _MNIST_ADDRESSES])
    return read_idx(path, dimensions, _MNIST_MD5[name])


READERS: dict[str, Callable[[Path], Source]] = {"digits": read_digits, "mnist": read_mnist}
