"""Synthetic images follow from their stored seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.gans.sampling import latent_seeds, latents_from_seeds, sample_dataset, sample_images
from tests.untrained_generators import untrained


def test_images_can_be_regenerated_from_their_seeds():
    generators = untrained("per_class")
    sampled = sample_dataset(generators, 15, seed=0)
    assert sampled.images.shape == (45, 1, 16, 16)
    assert np.bincount(sampled.labels).tolist() == [15] * 3
    assert len(set(sampled.seeds.tolist())) == 45
    chosen = np.flatnonzero(sampled.labels == 2)[[3, 9]]
    again = sample_images(generators, 2, sampled.seeds[chosen], np.zeros((2, 0), np.float32))[0].astype(int)
    # A batch of another size may round differently.
    assert np.abs(again - sampled.images[chosen]).max() <= 1


@pytest.mark.parametrize("labels", ["per_class", "conditional"])
def test_every_generator_of_an_ensemble_makes_an_equal_part_of_each_class(labels):
    generators = untrained(labels, ensemble=2)
    sampled = sample_dataset(generators, 6, seed=3)
    length = generators.label_spec.vectors.shape[1]
    for label in range(3):
        own = sampled.labels == label
        latents = latents_from_seeds(sampled.seeds[own], generators.family)
        requested = torch.eye(3)[:, :length][[label] * 6]
        by_member = []
        for member in range(2):
            with torch.no_grad():
                images, _ = generators.network(label if labels == "per_class" else 0, member)(
                    latents, requested
                )
            by_member.append(to_uint8(images).numpy().astype(int))
        equal = [
            (np.abs(sampled.images[own].astype(int) - each).max(axis=(1, 2, 3)) <= 1).tolist()
            for each in by_member
        ]
        assert [sum(each) for each in equal] == [3, 3]
        assert all(a != b for a, b in zip(*equal))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("deviation", [1.0, 2.0])
def test_the_deviation_is_a_factor_of_the_latents(distribution, deviation):
    """1 changes no bit."""
    family = replace(untrained("conditional").family, latent_distribution=distribution)
    generators = untrained("conditional", family=family)
    sampled = sample_dataset(generators, 4, seed=0, latent_deviation=deviation)
    latents = latents_from_seeds(sampled.seeds, family)
    with torch.no_grad():
        expected, _ = generators.network()(
            latents if deviation == 1.0 else latents * deviation,
            torch.eye(3)[torch.from_numpy(sampled.labels)],
        )
    assert np.array_equal(sampled.images, to_uint8(expected).numpy())
    if deviation == 1.0:
        assert np.array_equal(sampled.images, sample_dataset(generators, 4, seed=0).images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_samples_the_same_images_but_for_rounding():
    generators = untrained("conditional")
    on_cpu, on_gpu = (sample_dataset(generators, 15, 0, torch.device(name)) for name in ("cpu", "cuda"))
    assert np.array_equal(on_gpu.labels, on_cpu.labels)
    assert np.abs(on_gpu.images.astype(int) - on_cpu.images).max() <= 2


def test_a_larger_data_set_starts_with_the_same_images():
    family = untrained("per_class").family
    assert np.array_equal(latent_seeds(5, 0, 1), latent_seeds(9, 0, 1)[:5])
    first = latents_from_seeds(latent_seeds(5, 0, 1), family)
    assert torch.equal(first, latents_from_seeds(latent_seeds(9, 0, 1), family)[:5])
    assert not torch.equal(first, latents_from_seeds(latent_seeds(5, 0, 2), family))
