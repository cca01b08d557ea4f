"""A prepared data set in memory, for notebooks and other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from labelmint.data.preparation import prepare
from labelmint.data.settings import Dataset
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute


@dataclass(frozen=True)
class LabelledDataset:
    """Real images, resized, checked and split, as arrays.

    images, test_images: uint8 (N, C, S, S). labels, test_labels: int64 (N,), or float32 multi-hot (N, A).
    classes: names of the classes, or of the attributes. preparation: how the images were converted.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: list[str]
    preparation: Dataset | None = None

    @property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """Training images and their labels."""
        return self.images, self.labels

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Test images and their labels."""
        return self.test_images, self.test_labels


def prepare_arrays(dataset: Dataset, raw: Path = Path("data/raw")) -> LabelledDataset:
    """Prepare `dataset` as the stage `prepare` does, leaving no file behind except downloads in `raw`.

    raw: folder of published files. Raises: InputError.
    """
    with TemporaryDirectory() as folder:
        work = Path(folder)
        prepared = prepare(dataset, raw.resolve(), work, Compute())
        (images, labels), (test_images, test_labels) = load_set(work / "train"), load_set(work / "test")
        say(prepared.summary())
        return LabelledDataset(
            np.array(images),
            labels,
            np.array(test_images),
            test_labels,
            prepared.source.classes,
            prepared.dataset,
        )
