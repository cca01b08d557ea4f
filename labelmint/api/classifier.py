"""Classifiers behind one object: train, predict, measure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.api.dataset import LabelledDataset
from labelmint.api.synthesizer import check_images
from labelmint.classifiers import saved, targets
from labelmint.classifiers import settings as classifier_settings
from labelmint.classifiers.fit import fit
from labelmint.classifiers.job import Job, build, predict
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.saved import Description
from labelmint.data.settings import Dataset
from labelmint.data.storage.splits import derive_seed
from labelmint.data.unlabelled import read_unlabelled
from labelmint.metrics import accuracy
from labelmint.runtime.devices import named_device, pick_device, threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import did_you_mean

_RAW = Path("data/raw")


@dataclass(frozen=True)
class Prediction:
    """Label of one image.

    label: The most probable class; of attributes, those with a probability of at least a half, joined by +.
    probability: That of the label; of attributes, that of the least certain one. probabilities: By name.
    """

    image: str
    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    network: In evaluation mode, on `device`. description: Its settings, the names of its classes, the shape
    of its images, and its optimizer steps.
    """

    network: torch.nn.Module
    description: Description
    device: torch.device

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or of the attributes."""
        return list(self.description.classes)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 (N, classes), of images, uint8 (N, C, S, S).

        Of attributes, each one's own.
        """
        logits = predict(self.network, np.asarray(images), self.device)
        chances: np.ndarray = targets.probabilities(
            torch.from_numpy(logits).double(), self.description.multi_hot
        ).numpy()
        return chances.astype(np.float32)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Most probable class, int64 (N,), of images, uint8 (N, C, S, S); attributes, (N, A) of 0 and 1."""
        logits = predict(self.network, np.asarray(images), self.device)
        return targets.decide(logits, self.description.multi_hot)

    def predict_files(self, path: str | Path) -> tuple[list[Prediction], list[tuple[str, str]]]:
        """Label an image, a folder of images at any depth, or a zip or tar archive.

        They are converted as the training images were; of a classifier that was trained on arrays, to its
        size and colours.

        Returns:
            A prediction for each image, in the order of their names, and the name and reason of each image
            that cannot be read.

        Raises:
            InputError: There is no image, or none that can be read.
        """
        channels, size, _ = self.description.shape
        other: dict[str, Any] = {"image_size": size, "channels": channels}  # checked on construction
        found = read_unlabelled(Path(path), self.description.preparation or Dataset(**other), Compute())
        values = self.predict_proba(found.images).tolist()
        predictions = [self._label(*each) for each in zip(found.names, values, strict=True)]
        return predictions, found.bad

    def _label(self, image: str, values: list[float]) -> Prediction:
        named = dict(zip(self.classes, values, strict=True))
        if self.description.multi_hot:
            label = "+".join(name for name, value in named.items() if value >= 0.5)
            return Prediction(image, label, min(max(value, 1 - value) for value in values), named)
        label = max(named, key=named.__getitem__)
        return Prediction(image, label, named[label], named)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Accuracy with its 95 % Wilson interval, recall by class and confusion matrix on labelled images."""
        images, labels = check_images(images, labels)
        return accuracy.summary(labels, self.predict(images), self.classes)

    def save(self, folder: str | Path) -> Path:
        """Write `classifier.safetensors` and `classifier.json`, which `load_classifier` opens."""
        saved.save(Path(folder), self.network, self.description)
        return Path(folder)


def load_classifier(folder: str | Path, *, device: str = "auto") -> Classifier:
    """Open a classifier that `Classifier.save` has written; nothing in its files is executed.

    Args:
        folder: Folder with `classifier.safetensors` and `classifier.json`.
        device: As `compute.device`: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        InputError: The folder holds no classifier that this version can read, or torch cannot use the device.
    """
    network, description = saved.load(Path(folder))
    target = named_device(device)
    return Classifier(network.to(target), description, target)


def train_classifier(
    dataset: LabelledDataset | None = None,
    *,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    classes: list[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    raw: str | Path = "data/raw",
    **settings: Any,
) -> Classifier:
    """Train a classifier on labelled images, real or synthetic, with the recipe of the pipeline.

    Args:
        dataset: From `load_dataset`; its training images are used. Or give arrays:
        images: uint8 (N, C, S, S).
        labels: int64 (N,) counted from 0.
        classes: Names of the classes; by default "0", "1", …
        seed: Seed of weights, batches and augmentation.
        device: As `compute.device`: "auto", "cpu", "cuda", "cuda:N" or "mps".
        raw: Folder where pretrained weights are looked up.
        **settings: Fields of `classifier` in params.yaml, e.g. `network="small_cnn"`, `steps=400`.

    Raises:
        InputError: The arrays do not fit together, a setting is unknown or out of range, or torch cannot use
            the device.
    """
    preparation = None
    if dataset is not None:
        images, labels, classes = dataset.images, dataset.labels, dataset.classes
        preparation = dataset.preparation
    if images is None or labels is None:
        raise InputError("train_classifier: give a data set, or images and labels")
    images, labels = check_images(images, labels)
    if labels.ndim > 1:
        raise InputError("train_classifier: expected one class per image, got multi-hot labels")
    classes = classes or [str(number) for number in range(int(labels.max()) + 1)]
    if len(classes) < 2:
        raise InputError(f"train_classifier: a classifier needs two classes, got {classes}")
    known = [field.name for field in fields(classifier_settings.Classifier)]
    for name in settings:
        if name not in known:
            raise InputError(f"train_classifier: unknown setting '{name}'{did_you_mean(name, known)}")
    try:
        recipe = classifier_settings.Classifier(**settings)
        options: dict[str, Any] = {"device": device}  # checked on construction
        target = pick_device(Compute(**options))
    except ValueError as error:
        raise InputError(f"train_classifier: {error}") from error
    pools = [Pool("real", images, labels)]
    return fit_pools(pools, classes, recipe, target, seed=seed, preparation=preparation, raw=Path(raw))


def fit_pools(
    pools: list[Pool],
    classes: list[str],
    recipe: classifier_settings.Classifier,
    device: torch.device,
    *,
    seed: int,
    preparation: Dataset | None,
    raw: Path = _RAW,
) -> Classifier:
    """Train a classifier on one or more pools of images, each with its fraction of the batches."""
    job = Job("real", pools, len(classes), recipe, derive_seed(seed, "classifier"), raw)
    one_thread = device.type == "cpu"
    with (
        threads(1 if one_thread else torch.get_num_threads()),
        Progress("classifier", job.steps, "steps") as progress,
    ):
        fitted = fit(job, device, progress.add)
    network = build(recipe, job.shape, len(classes), None)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in fitted.weights.items()})
    description = Description(
        recipe, job.shape, list(classes), False, preparation, steps=job.steps, best_step=fitted.best_step
    )
    return Classifier(network.to(device).eval(), description, device)
