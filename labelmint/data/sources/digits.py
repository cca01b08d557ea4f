"""Reader of scikit-learn's bundled digits: 1,797 real handwritten digits of 8 x 8 pixels.

Source: Alpaydin and Kaynak, UCI "Optical Recognition of Handwritten Digits", the test part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.data.stored_images import ArrayImages


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return Source(
        title="UCI Optical Recognition of Handwritten Digits (scikit-learn's bundle)",
        licence="CC BY 4.0",
        classes=[str(digit) for digit in range(10)],
        labels=bundle.target.astype(np.int64),
        images=ArrayImages(
            np.rint(bundle.images * (255 / 16)).astype(np.uint8)
        ),  # scikit-learn scales to 0..16
    )
