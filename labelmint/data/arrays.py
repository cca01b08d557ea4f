"""A data set in memory, as the stages would have it on disk: for notebooks and other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from labelmint.data.settings import Dataset
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import NullTracker
from stages.paths import Paths
from stages.prepare import Params, run


@dataclass(frozen=True)
class Prepared:
    """Real images, sized, checked and split. classes: names of the classes, or of the attributes.

    images, test_images: uint8 (N, C, S, S). labels, test_labels: int64 (N,), or float32 multi-hot (N, A).
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: list[str]


def prepared(dataset: Dataset, raw: Path = Path("data/raw")) -> Prepared:
    """What `prepare` makes of `dataset`, leaving no file behind. raw: folder of published files. Raises: InputError."""
    with TemporaryDirectory() as folder:
        layout = Paths(Path(folder))
        layout.raw.parent.mkdir(parents=True)
        layout.raw.symlink_to(raw.resolve())
        listener = NullTracker()
        run(Params(dataset, [100], [0], Compute()), layout, listener)
        (images, labels), (test_images, test_labels) = load_set(layout.tensors), load_set(layout.test_tensors)
        classes = load_json(layout.tensors / "dataset.json")["classes"]
        return Prepared(np.array(images), labels, np.array(test_images), test_labels, classes)
