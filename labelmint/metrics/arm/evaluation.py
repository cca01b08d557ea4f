"""Evaluation of one arm: every metric of its classifiers, its images and its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import feature_network, targets
from labelmint.metrics import fairness, registry
from labelmint.metrics.arm import latent_space, representation
from labelmint.metrics.arm.classifiers import (
    GAN_TEST_MAX_IMAGES,
    GAN_TEST_PER_CLASS,
    classifier_rows,
    gan_test,
    predict_with,
)
from labelmint.metrics.inputs import Comparison, LabelledImages, Setup
from labelmint.metrics.settings import Metrics
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say

_NO_CLASSIFIER = (
    "steps",
    "best_step",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "macro_recall",
    "worst_class_recall",
)


@dataclass(frozen=True)
class ArmData:
    """Images of one arm.

    dataset: content of dataset.json. training: all real training images. real_indices: int64 (N,), of
    those that the arm's generators were trained on. synthetic_labels: kind of the generators' labels:
    per_class, conditional, multi_hot, none.
    """

    dataset: dict[str, Any]
    test: LabelledImages
    training: LabelledImages
    real_indices: np.ndarray
    synthetic: LabelledImages
    synthetic_labels: str

    @cached_property
    def real(self) -> LabelledImages:
        """The real images that the arm's generators were trained on."""
        images, labels = self.training
        return np.asarray(images[self.real_indices]), labels[self.real_indices]

    @property
    def names(self) -> list[str]:
        """Names of the classes or attributes."""
        return list(self.dataset["classes"])


@dataclass(frozen=True)
class ArmFolders:
    """Folders of one arm. baseline: of the classifiers trained on the same real images.

    latent_space: where sheets are written. downloads: of weights that are fetched. scratch: for temporary
    files.
    """

    generator: Path
    classifiers: Path
    baseline: Path
    feature_network: Path
    latent_space: Path
    downloads: Path
    scratch: Path


def evaluate(
    name: str,
    data: ArmData,
    folders: ArmFolders,
    params: Metrics,
    *,
    seed: int,
    device: torch.device,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Content of data/metrics/<arm>.json.

    name: of the arm, for messages. precision: of networks on the device, for the protocol.
    Raises: InputError where the data set lacks what the settings ask for.
    """
    dataset = data.dataset | {"n_test": len(data.test[1])}
    rows, predictions = classifier_rows(
        (folders.baseline, folders.classifiers),
        data.test,
        data.names,
        split=params.split,
        stored=(data.training[0], data.synthetic[0]),
        device=device,
        precision=precision,
    )
    for row in rows:
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        say(f"{name} {row['source']}: accuracy {100 * row['accuracy']:.2f} % [{low:.2f}, {high:.2f}]")
    agreement = None
    if data.synthetic_labels == "none":
        say(f"{name} synthetic: no labels, so no classifier; only its images are measured")
        empty = dict.fromkeys(_NO_CLASSIFIER)
        rows.append({"source": "synthetic", "n_real": 0, "n_synthetic": len(data.synthetic[0]), **empty})
    else:
        agreement = gan_test(folders.baseline, data.synthetic, data.names, device, precision)

    network = feature_network.load(folders.feature_network)
    comparison = Comparison.of(
        network,
        data.test,
        data.training,
        data.synthetic,
        rows=data.real_indices,
        classes=len(data.names),
        params=params,
        flipped=np.flatnonzero(
            targets.may_flip(torch.tensor(dataset["mirror"]), torch.from_numpy(data.real[1])).numpy()
        ),
        downloads=folders.downloads,
        device=device,
        precision=precision,
    )
    values, absent = registry.measure_images(comparison)
    nearest = values["synthetic"].pop("nearest")
    setup = Setup(dataset, params, network.sha256, comparison.dimensions, len(network.unseen))
    return {
        "split": params.split,
        "n_test": dataset["n_test"],
        "classes": data.names,
        "labels": dataset["labels"],
        "synthetic_labels": data.synthetic_labels,
        "n_feature_network": dataset["n_train"] - len(network.unseen),
        "rows": [registry.merged(row, values.get(row["source"], {})) for row in rows],
        "gan_test": agreement,
        "nearest": nearest,
        "fairness": fairness_gaps(data, predictions, params, folders.baseline, device),
        "representation": _representation(data, folders, params, seed, device),
        "latent_space": latent_space.draw(
            folders.generator, folders.baseline, folders.latent_space, dataset, seed=seed, device=device
        ),
        "absent": absent,
        "protocol": _protocol(setup, absent),
    }


def fairness_gaps(
    data: ArmData,
    predictions: Mapping[str, np.ndarray],
    params: Metrics,
    baseline: Path,
    device: torch.device,
) -> dict[str, Any] | None:
    """Fairness gaps, None unless the settings ask for them.

    predictions: for the test images, by source. baseline: folder of the classifier trained on the real
    images.
    Returns: data, gaps of the real and the synthetic labels; seen, of the attributes that the real classifier
    predicts for the synthetic images; classifiers, of each one's predictions; changes, from the real
    classifier's.
    Raises: InputError when an attribute is not one of the data set's.
    """
    if not params.protected:
        return None
    for name in (params.protected, params.outcome):
        if data.dataset["labels"] != "multi_hot" or name not in data.names:
            raise InputError(
                f"metrics: '{name}' is not among dataset.attributes, {', '.join(data.names)}; add it there, "
                "or leave metrics.protected and metrics.outcome empty"
            )
    group, outcome = (data.names.index(name) for name in (params.protected, params.outcome))

    def of_labels(labels: np.ndarray) -> dict[str, fairness.Gap]:
        return fairness.data_gaps(labels[:, group], labels[:, outcome])

    labelled = {"real": data.real[1]}
    seen = {}
    if data.synthetic_labels != "none":
        labelled["synthetic"] = data.synthetic[1]
        seen["synthetic"] = of_labels(predict_with(baseline, "real", data.synthetic[0], device))
    truth = data.test[1][:, group], data.test[1][:, outcome]
    answers = {source: predicted[:, outcome] for source, predicted in predictions.items()}
    return {
        "protected": params.protected,
        "outcome": params.outcome,
        "data": {source: of_labels(labels) for source, labels in labelled.items()},
        "seen": seen,
        "classifiers": {
            source: fairness.classifier_gaps(*truth, answer) for source, answer in answers.items()
        },
        "changes": {
            source: fairness.changes(*truth, answers["real"], answer)
            for source, answer in answers.items()
            if source != "real"
        },
    }


def _representation(
    data: ArmData, folders: ArmFolders, params: Metrics, seed: int, device: torch.device
) -> dict[str, Any] | None:
    if not params.representation.measured:
        return None
    if data.dataset["labels"] == "multi_hot":
        raise InputError(
            "metrics.representation needs classes; name one of dataset.attributes, or set measured: false"
        )
    return representation.measure(
        folders.generator,
        data.real,
        data.test,
        params.representation,
        device=device,
        seed=seed,
        scratch=folders.scratch,
    )


def _protocol(setup: Setup, absent: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each metric, for the features and for the GAN-test on how it is measured."""
    limit = f"{GAN_TEST_MAX_IMAGES}" if setup.multi_hot else f"{GAN_TEST_PER_CLASS} a class"
    return {
        **registry.protocol(setup, absent),
        "features": f"frozen small CNN trained on {setup.dataset['n_train'] - setup.unseen} real training "
        f"images, in units of the root mean square over all of them, sha256 {setup.network_sha256}",
        "real": f"the {setup.unseen} real training images that this network was not trained on, the same for "
        "every arm: what new real images reach",
        "gan_test": "accuracy of the classifier trained on the same real images, on synthetic images drawn "
        f"by a hash of their content, at most {limit}",
    }
