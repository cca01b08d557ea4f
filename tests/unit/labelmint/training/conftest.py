"""Small real digits and a replica that trains on them in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_digits

from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family
from labelmint.runtime.devices import threads
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread."""
    with threads(1):
        yield


@pytest.fixture(scope="session")
def digits() -> ArrayImages:
    """Images of the digit 3, 1 x 16 x 16."""
    content = load_digits()
    images = (content.images[content.target == 3][:12] * 15.9375).astype(np.uint8)
    return ArrayImages(np.kron(images, np.ones((2, 2), np.uint8))[:, None])


@pytest.fixture
def replica() -> Replica:
    """Six steps on the images of the digit 3."""
    family = Family(
        latent_size=6,
        generator=GeneratorNetwork(dense_filters=4, filters=[4]),
        discriminator=DiscriminatorNetwork(filters=[4, 8]),
    )
    training = Training(epochs=2, images_per_epoch=24, batch_size=8, preview_images=3)
    return Replica("3", "dcgan", family, training, np.arange(12), seed=7)
