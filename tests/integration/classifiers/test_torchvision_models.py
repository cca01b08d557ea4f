"""A model of torchvision trained by the recipe of the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import labelmint
from labelmint.classifiers.job import build
from labelmint.classifiers.settings import Classifier


def bright_and_dark(count: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that differ in brightness."""
    rng, labels = np.random.default_rng(0), np.arange(count) % 2
    noise = rng.integers(0, 60, (count, 1, 8, 8))
    return (noise + 150 * labels[:, None, None, None]).astype(np.uint8), labels


def test_it_learns_and_is_saved(tmp_path):
    images, labels = bright_and_dark()
    recipe: dict[str, Any] = {"steps": 10, "batch_size": 16, "evaluations": 1, "stem_stride": 1}
    trained = labelmint.train_classifier(
        images=images, labels=labels, network="torchvision/resnet18", **recipe
    )
    assert trained.evaluate(images, labels)["accuracy"] > 0.9
    opened = labelmint.load_classifier(trained.save(tmp_path / "saved"))
    assert np.array_equal(opened.predict_proba(images), trained.predict_proba(images))


def test_a_vision_transformer_takes_small_grey_images():
    network = build(Classifier(network="torchvision/vit_b_16", stem_stride=1), (1, 32, 32), 5, None)
    assert network(torch.zeros(3, 1, 32, 32)).shape == (3, 5)
