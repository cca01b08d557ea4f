"""What the functions of metrics are given: sets of images to compare, and predictions of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelmint.metrics.sampling_order import content_order
from labelmint.metrics.settings import Metrics

if TYPE_CHECKING:
    import torch

    from labelmint.classifiers.feature_network import FrozenNetwork

LabelledImages = tuple[np.ndarray, np.ndarray]
"""Images, uint8 (N, C, S, S), and labels: int64 (N,), -1 for no label, or multi-hot (N, A)."""


@dataclass(frozen=True)
class Setup:
    """What the sentences of protocols mention.

    dataset: content of dataset.json, with n_test. network_sha256, features: of the frozen feature network.
    unseen: number of training images that it was not trained on.
    """

    dataset: Mapping[str, Any]
    params: Metrics
    network_sha256: str
    features: int
    unseen: int

    @property
    def multi_hot(self) -> bool:
        return bool(self.dataset["labels"] == "multi_hot")

    @property
    def n_test(self) -> int:
        return int(self.dataset["n_test"])


@dataclass(frozen=True)
class ImageSet:
    """Images, and their features sorted by content: the first n are a random sample for any order of the set.

    split: where the images are from. images: uint8 (N, C, S, S), in the set's own order.
    indices: int64 (N,), index of each sorted image within the set.
    features: float32 (N, d) and labels: int64 (N,), -1 for no label, or multi-hot (N, A), both sorted.
    """

    split: str
    images: np.ndarray
    indices: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, split: str, images: np.ndarray, labels: np.ndarray, features: np.ndarray) -> ImageSet:
        """images, labels: as LabelledImages. features: float32 (N, d), in the same order."""
        indices = content_order(images, labels)
        return cls(split, images, indices, features[indices], np.asarray(labels)[indices])

    def __len__(self) -> int:
        return len(self.indices)

    def first_images(self, count: int) -> np.ndarray:
        """The first `count` images by content: uint8 (count, C, S, S)."""
        images: np.ndarray = self.images[self.indices[:count]]
        return images

    def per_class(self, classes: int) -> np.ndarray:
        """Images of each class: int64 (classes,)."""
        counts: np.ndarray = np.bincount(self.labels, minlength=classes)
        return counts

    def features_of(self, label: int) -> np.ndarray:
        """Features of one class, sorted by content: float32 (n, d)."""
        features: np.ndarray = self.features[self.labels == label]
        return features


@dataclass(frozen=True, eq=False)
class Comparison:
    """Sets of images to compare with the test images, in the features of the frozen network.

    sources: by name, "real" (training images that the network has not seen) and "synthetic".
    shown: images that the generators were trained on.
    rows: int64 (N,), index of each of these within the whole training set.
    classes: how many classes, or attributes.
    flipped: int64 (M,), indices of the shown images that training may mirror.
    downloads: folder of files that a metric downloads, such as weights.
    device: where networks and distances are computed. precision: of networks there, for the protocol.
    """

    network: FrozenNetwork
    test: ImageSet
    sources: dict[str, ImageSet]
    shown: ImageSet
    rows: np.ndarray
    classes: int
    params: Metrics
    flipped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    downloads: Path = Path("data/raw")
    device: torch.device | str = "cpu"
    precision: str = "fp32"

    @classmethod
    def of(
        cls,
        network: FrozenNetwork,
        test: LabelledImages,
        training: LabelledImages,
        synthetic: LabelledImages,
        *,
        rows: np.ndarray,
        classes: int,
        params: Metrics,
        device: torch.device | str = "cpu",
        **more: Any,
    ) -> Comparison:
        """training: all real training images. rows: of those shown to the generators. more: other fields."""

        def features(images: np.ndarray) -> np.ndarray:
            return network.features(images, device)

        def of_training(rows: np.ndarray) -> ImageSet:
            images, labels = training
            return ImageSet.of("train", np.asarray(images[rows]), labels[rows], network.training[rows])

        sources = {
            "real": of_training(network.unseen),
            "synthetic": ImageSet.of("synthetic", *synthetic, features(synthetic[0])),
        }
        reference = ImageSet.of(params.split, *test, features(test[0]))
        return cls(
            network, reference, sources, of_training(rows), rows, classes, params, device=device, **more
        )

    @property
    def size(self) -> int:
        """Images of each source that distances use, the fewest of any: distances fall with their number."""
        return min(map(len, self.sources.values()))

    @property
    def paired_size(self) -> int:
        """Images of each side where all pairs are compared."""
        return min(self.params.points, len(self.test), self.size)

    @property
    def dimensions(self) -> int:
        return int(self.test.features.shape[1])

    @cached_property
    def has_classes(self) -> bool:
        """Whether every image of every set has a class."""
        sets = (self.test, *self.sources.values())
        return all(each.labels.ndim == 1 and each.labels.min(initial=0) >= 0 for each in sets)

    @cached_property
    def class_sizes(self) -> np.ndarray:
        """Images of each class that distances use, the fewest of any source: int64 (classes,)."""
        counts = [each.per_class(self.classes) for each in self.sources.values()]
        smallest: np.ndarray = np.min(counts, axis=0)
        return smallest

    @property
    def feature_protocol(self) -> dict[str, Any]:
        """How images become features."""
        size = self.test.images.shape[-1]
        return {
            "resize": f"none: {size} x {size} pixels as prepared",
            "network": f"sha256 {self.network.sha256}",
            "features": self.dimensions,
            "precision": self.precision,
        }

    def how(
        self, split: str, n: int | list[int], n_reference: int | list[int] | None = None
    ) -> dict[str, Any]:
        """Protocol of a metric of n images of a split against test images; None: against all of them."""
        return {
            "split": split,
            "n": n,
            "reference": self.test.split,
            "n_reference": len(self.test) if n_reference is None else n_reference,
            **self.feature_protocol,
        }


@dataclass(frozen=True)
class ClassifierResult:
    """Predictions of one classifier for the test images, and what is known of its training.

    labels, predictions: int64 (N,), or 0 and 1 (N, A). names: of the classes or attributes.
    reference: predictions of the classifier trained on the real images.
    simple: predictions and network of simple classifiers trained on the same images: linear,
    nearest_neighbour.
    split: of the test images. size: their side in pixels. facts: of the classifier, from classifiers.json.
    precision: of the networks that predicted.
    """

    labels: np.ndarray
    predictions: np.ndarray
    names: list[str]
    reference: np.ndarray
    simple: Mapping[str, tuple[np.ndarray, str]]
    split: str
    size: int
    facts: Mapping[str, Any]
    precision: str = "fp32"

    @property
    def multi_hot(self) -> bool:
        return self.labels.ndim > 1

    @property
    def labels_per_image(self) -> int:
        return len(self.names) if self.multi_hot else 1

    @property
    def accuracy(self) -> float:
        """Fraction of all labels that are predicted correctly."""
        return float(_correct(self.labels, self.predictions).mean())

    def correct(self, predictions: np.ndarray | None = None) -> np.ndarray:
        """Fraction of each test image's labels that are predicted correctly: float64 (N,)."""
        return correct_per_image(self.labels, self.predictions if predictions is None else predictions)

    def how(self, network: str = "", split: str = "", n: int | None = None) -> dict[str, Any]:
        """Protocol of a metric of the test images; network: by default the classifier itself."""
        count = len(self.labels) if n is None else n
        return classifier_protocol(
            split or self.split, count, self.size, self.facts, network, precision=self.precision
        )


def classifier_protocol(
    split: str, n: int, size: int, facts: Mapping[str, Any], network: str = "", *, precision: str = "fp32"
) -> dict[str, Any]:
    """How predictions for n images of a split were made. network: by default the classifier's hash."""
    resize = f"none: {size} x {size} pixels as prepared"
    network = network or f"sha256 {facts['weights_sha256']}"
    return {
        "split": split,
        "n": n,
        "resize": resize,
        "view": facts["view"],
        "network": network,
        "precision": precision,
    }


def correct_per_image(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Fraction of each image's labels that are predicted correctly, 0 or 1 for classes: float64 (N,)."""
    correct = _correct(labels, predictions)
    fractions: np.ndarray = correct.astype(float) if correct.ndim == 1 else correct.mean(1)
    return fractions


def _correct(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """bool, in the shape of labels: int64 (N,), or 0 and 1 (N, A)."""
    if labels.ndim > 1:
        labels, predictions = labels > 0.5, predictions > 0.5
    correct: np.ndarray = labels == predictions
    return correct
