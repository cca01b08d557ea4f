"""Images sampled during the training of a classifier, from trained and from untrained generators."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.classifiers.pools import Renewal
from labelmint.classifiers.sampler import GeneratorSampler
from labelmint.gans.sampling import sample_dataset
from tests.untrained_generators import CLASSES, FAMILY_OF, untrained

COUNT = 15


@pytest.fixture(scope="module")
def sampler() -> GeneratorSampler:
    return GeneratorSampler(untrained("per_class"))


def test_samples_the_data_set_of_the_generators(sampler):
    images, labels = sampler.sample(COUNT, 3)
    expected = sample_dataset(sampler.archive, COUNT, 3)
    assert np.array_equal(images, expected.images)
    assert np.array_equal(labels, expected.labels)


def test_all_its_images_have_its_deviation(sampler):
    wider = GeneratorSampler(sampler.archive, 2.0)
    expected = sample_dataset(sampler.archive, COUNT, 3, latent_deviation=2.0).images
    assert np.array_equal(wider.sample(COUNT, 3)[0], expected)
    assert not np.array_equal(sampler.sample(COUNT, 3)[0], expected)
    assert wider.untrained(0).latent_deviation == 2.0


def test_every_epoch_has_new_images(sampler):
    own = sampler.sample(COUNT, 0)[0]
    (first, labels), (second, _) = (Renewal(sampler, COUNT, 0).draw(epoch) for epoch in (1, 2))
    assert np.bincount(labels).tolist() == [COUNT] * len(CLASSES)
    images = [image.tobytes() for image in np.concatenate([own, first, second])]
    assert len(set(images)) == len(images)


def test_untrained_generators_have_other_weights_and_differ_from_each_other(sampler):
    weights, initial = sampler.archive.weights, sampler.untrained(0).archive.weights
    assert initial.keys() == weights.keys()
    name = next(name for name in initial if name.endswith("weight"))
    assert not np.allclose(initial[name], weights[name])
    assert not np.allclose(initial[name][0], initial[name][1])


@pytest.mark.parametrize("label_type", FAMILY_OF)
def test_untrained_generators_depend_on_the_seed_only(label_type):
    sampler = GeneratorSampler(untrained(label_type))
    first, again, other = (sampler.untrained(seed).sample(4, 0)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
