"""One classifier: what to train, its network, and what has been trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import TORCHVISION, Classifier
from labelmint.classifiers.small_networks import Linear, SmallCNN
from labelmint.classifiers.torchvision_models import TorchvisionModel
from labelmint.data.storage.pixels import normalize

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Job:
    """One classifier to train.

    source: the name of its image source. classes: number of classes or attributes. raw: folder of downloaded
    weights.
    mirror: by class or attribute, whether its images may be flipped; None for no class. view: the view that
    the pools show, one of views.VIEWS; None for the whole image. teacher: loads the network whose
    probabilities it learns in place of the labels; None to learn the labels. simple: whether it is a simple
    classifier of the source.
    """

    source: str
    pools: list[Pool]
    classes: int
    params: Classifier
    seed: int
    raw: Path
    mirror: list[bool] | None = None
    view: str | None = None
    teacher: Callable[[], torch.nn.Module] | None = None
    simple: bool = False

    @property
    def name(self) -> str:
        return f"{self.source}-{self.params.network}" if self.simple else self.source

    @property
    def steps(self) -> int:
        if self.params.epochs is None:
            return self.params.steps
        return max(1, -(-self.params.epochs * sum(map(len, self.pools)) // self.params.batch_size))

    @property
    def multi_hot(self) -> bool:
        return self.pools[0].multi_hot

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pools[0].images.shape[1:]
        return channels, height, width

    def count(self, origin: str) -> int:
        """Number of images of one origin."""
        return sum(len(pool) for pool in self.pools if pool.origin == origin)


@dataclass(frozen=True)
class Fitted:
    """A trained classifier.

    weights: those of best_step. evaluations: one row each: step, train_loss, holdout_loss, holdout_accuracy.
    held_out: number of images of the source that were held out for the evaluations.
    """

    weights: dict[str, np.ndarray]
    evaluations: list[dict[str, Any]]
    best_step: int
    held_out: int

    @property
    def best(self) -> dict[str, Any]:
        """The evaluation of the weights."""
        return next(row for row in self.evaluations if row["step"] == self.best_step)


def build(params: Classifier, shape: tuple[int, int, int], classes: int, raw: Path | None) -> torch.nn.Module:
    """The network that the settings name.

    shape: (C, S, S) of the images. raw: folder of downloaded weights; None loads none.
    """
    if params.network == "small_cnn":
        return SmallCNN(shape, classes)
    if params.network == "linear":
        return Linear(shape, classes)
    if params.network.startswith(TORCHVISION):
        return TorchvisionModel(params, shape, classes, raw)
    return EfficientNetB0(params, shape, classes, raw)


@torch.no_grad()
def predict(network: torch.nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    """Logits in evaluation mode, float32 (N, classes). images: uint8 (N, C, S, S)."""
    network.eval()
    parts = []
    for start in range(0, len(images), _EVALUATION_BATCH):
        part = torch.from_numpy(np.array(images[start : start + _EVALUATION_BATCH]))
        batch = normalize(part.to(device)).contiguous(memory_format=torch.channels_last)
        parts.append(network(batch).cpu())
    logits: np.ndarray = torch.cat(parts).numpy()
    return logits
