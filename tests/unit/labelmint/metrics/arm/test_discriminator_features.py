"""Features of discriminators have the published sizes, and pooling takes maxima."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmint.gans.network_settings import DiscriminatorNetwork
from labelmint.gans.registry import build_discriminator
from labelmint.gans.settings import Family
from labelmint.metrics.arm.discriminator_features import Extractor

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("filters", "strides", "pooling", "size", "expected"),
    [
        # Radford et al. 2016: every layer of a 32 px discriminator, pooled to 4 x 4.
        ([128, 128, 256, 256, 512, 512], [1, 2, 1, 2, 1, 2], "grid", 4, 28_672),
        # 2 x 2 max-pooling of 128, 256 and 512 maps at 32 px.
        ([128, 256, 512], [2, 2, 2], "window", 2, 14_336),
    ],
)
def test_sizes_are_those_published(filters, strides, pooling, size, expected):
    settings = DiscriminatorNetwork(filters=filters, kernels=[3] * len(filters), strides=strides)
    network = build_discriminator(Family(labels="none", discriminator=settings), (3, 32, 32), 0).eval()
    extractor = Extractor([network], 0, pooling, size, CPU)
    assert extractor(np.zeros((1, 3, 32, 32), np.uint8)).shape == (1, expected)


def test_pooling_takes_the_largest():
    extractor = Extractor([], 0, "grid", 2, CPU)
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert extractor._pooled(maps).flatten().tolist() == [5, 7, 13, 15]


def test_without_networks_the_features_are_pixels():
    images = np.array([0, 255, 255, 0], np.uint8).reshape(1, 1, 2, 2)
    assert Extractor([], 0, "grid", 2, CPU)(images).tolist() == [[-1, 1, 1, -1]]
