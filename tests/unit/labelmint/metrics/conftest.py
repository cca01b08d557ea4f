"""A frozen feature network with random weights, for small images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from labelmint.classifiers import feature_network
from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.classifiers.small_networks import SmallCNN
from labelmint.metrics.inputs import Comparison, LabelledImages
from labelmint.metrics.settings import Metrics

CLASSES, FEATURES, SIZE = 3, 8, 8


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose brightness depends on the class: uint8 (count, 1, SIZE, SIZE), int64 (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    pixels = rng.integers(0, 200, (count, 1, SIZE, SIZE)) + 20 * labels[:, None, None, None]
    return pixels.astype(np.uint8), labels


def before_features(network: SmallCNN, batch: torch.Tensor) -> torch.Tensor:
    """Input of the layer of features, float (N, d)."""
    inputs: list[torch.Tensor] = []
    hook = network.to_features.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    network.features(batch)
    hook.remove()
    return inputs[0]


@pytest.fixture(scope="package")
def network() -> FrozenNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = SmallCNN((1, SIZE, SIZE), CLASSES, FEATURES).eval()
    # Move the features to zero, as training would: else they are constants with little variation.
    with torch.no_grad():
        maps = feature_network.in_batches(lambda batch: before_features(untrained, batch), images(500, 9)[0])
        untrained.to_features.bias.sub_(untrained.to_features(torch.from_numpy(maps)).mean(0))
    scale = feature_network.in_batches(untrained.features, images(500, 9)[0]).std(0).mean()
    nothing = np.empty((0, FEATURES), np.float32)
    return FrozenNetwork(untrained, "0" * 64, float(scale), np.empty(0, np.int64), nothing)


def compare(
    network: FrozenNetwork,
    real: LabelledImages,
    synthetic: LabelledImages,
    test: LabelledImages,
    **options: Any,
) -> Comparison:
    """Compare sets by a network that has seen none of them. options: as of Comparison.of."""
    rows = np.arange(len(real[0]))
    known = replace(network, unseen=rows, training=network.features(real[0]))
    given: dict[str, Any] = {"rows": rows, "classes": CLASSES, "params": Metrics()} | options
    return Comparison.of(known, test, real, synthetic, **given)
