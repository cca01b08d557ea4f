"""The feature network: reproducible, hashed, and scaled."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from labelmint.classifiers import feature_learner, feature_network
from labelmint.classifiers.settings import FeatureNetwork

SETTINGS = FeatureNetwork(features=8, steps=5, batch_size=16)


@pytest.fixture(scope="module")
def trained(digits):
    return feature_learner.train(SETTINGS, digits[0], digits[1], [False] * 10)


@pytest.fixture
def loaded(trained, tmp_path):
    feature_network.save(tmp_path, trained, SETTINGS, (1, 16, 16), 10)
    return feature_network.load(tmp_path)


def test_weights_do_not_depend_on_the_global_generator(trained, digits):
    torch.manual_seed(5)
    again = feature_learner.train(SETTINGS, digits[0], digits[1], [False] * 10)
    states = trained.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())


def test_the_hash_is_that_of_the_file(loaded, tmp_path):
    content = (tmp_path / "network.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == loaded.sha256


def test_features_have_a_mean_square_of_1(loaded, digits):
    features = loaded.features(digits[0])
    assert features.shape == (120, 8)
    assert features.min() >= 0
    assert (features**2).mean() == pytest.approx(1, rel=1e-5)


def test_features_of_the_training_images_are_kept(loaded, digits):
    assert np.allclose(loaded.training, loaded.features(digits[0]), atol=1e-5)


def test_features_do_not_depend_on_the_batch(loaded, digits):
    assert np.allclose(loaded.features(digits[0])[:7], loaded.features(digits[0][:7]), atol=1e-5)


def test_the_accuracy_is_that_on_the_training_images(trained, digits):
    logits = feature_network.in_batches(trained.network, digits[0])
    assert trained.accuracy == pytest.approx((logits.argmax(1) == digits[1]).mean())
