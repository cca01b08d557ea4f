"""Hashes of images: exact and perceptual."""

from __future__ import annotations

import hashlib

import numpy as np

from labelmint.data.hashes import content_hash, perceptual_hashes
from tests.image_trees import smooth_images


def test_content_hash_is_equal_for_equal_images_only(noise):
    hashes = [content_hash(image) for image in [*noise, noise[0].copy()]]
    assert hashes[-1] == hashes[0]
    assert len(set(hashes)) == len(noise)
    assert hashes[0] == int(hashlib.sha256(noise[0].tobytes()).hexdigest()[:16], 16)


def test_perceptual_hash_ignores_brightness_and_contrast():
    images = smooth_images(50)
    lighter = (images * 0.8 + 30).astype(np.uint8)
    changed = np.bitwise_count(perceptual_hashes(images) ^ perceptual_hashes(lighter))
    others = np.bitwise_count(perceptual_hashes(images) ^ perceptual_hashes(smooth_images(50, seed=1)))
    assert changed.max() <= 4
    assert others.min() > 8


def test_perceptual_hash_does_not_depend_on_the_batch():
    images = smooth_images(30)
    assert perceptual_hashes(images).tolist() == [int(perceptual_hashes(each[None])[0]) for each in images]
    assert perceptual_hashes(images[:0]).shape == (0,)
