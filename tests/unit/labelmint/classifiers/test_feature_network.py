"""The feature network: reproducible, hashed, and scaled."""

from __future__ import annotations

import hashlib
from dataclasses import replace

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


def weights(trained: feature_network.Trained) -> torch.Tensor:
    return torch.cat([values.flatten().float() for values in trained.network.state_dict().values()])


def test_weights_do_not_depend_on_the_global_generator(trained, digits):
    torch.manual_seed(5)
    again = feature_learner.train(SETTINGS, digits[0], digits[1], [False] * 10)
    assert weights(again).equal(weights(trained))


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


class TestHoldout:
    def test_a_quarter_of_each_class_is_not_seen(self, trained, loaded, digits):
        assert np.array_equal(np.bincount(digits[1][trained.unseen]), [3] * 10)
        assert np.array_equal(loaded.unseen, trained.unseen)

    def test_weights_do_not_depend_on_unseen_images_but_on_the_others(self, trained, digits):
        images = digits[0].copy()
        images[trained.unseen] = 255 - images[trained.unseen]
        changed = feature_learner.train(SETTINGS, images, digits[1], [False] * 10)
        assert weights(changed).equal(weights(trained))
        images[np.setdiff1d(np.arange(120), trained.unseen)[0]] ^= 255
        changed = feature_learner.train(replace(SETTINGS, steps=20), images, digits[1], [False] * 10)
        same = feature_learner.train(replace(SETTINGS, steps=20), digits[0], digits[1], [False] * 10)
        assert not weights(changed).equal(weights(same))

    def test_the_accuracy_is_that_on_unseen_images(self, trained, digits):
        logits = feature_network.in_batches(trained.network, digits[0][trained.unseen])
        assert trained.accuracy == pytest.approx((logits.argmax(1) == digits[1][trained.unseen]).mean())
