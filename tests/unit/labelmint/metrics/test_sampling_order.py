"""Samples that depend on the content of images only."""

from __future__ import annotations

import numpy as np

from labelmint.metrics.sampling_order import content_order
from tests.unit.labelmint.metrics.conftest import images


def test_order_depends_on_content_only():
    pixels, labels = images(200, 0)
    moved = np.random.default_rng(1).permutation(200)
    order = content_order(pixels, labels)
    assert sorted(order) == list(range(200))
    assert not np.array_equal(order, np.arange(200))
    assert np.array_equal(pixels[moved][content_order(pixels[moved], labels[moved])], pixels[order])


def test_the_first_images_are_a_fair_sample():
    """The first 1,000 of 4,000: a quarter of the bright and of the dark, within four standard deviations."""
    bright = np.repeat([0, 1], 2000)
    pixels = images(4000, 0)[0] // 2 + 100 * bright[:, None, None, None].astype(np.uint8)
    drawn = bright[content_order(pixels, bright)[:1000]].sum()
    assert abs(drawn - 500) < 4 * np.sqrt(1000 * 0.25 * 0.75)


def test_a_repeated_image_is_sampled_in_proportion():
    """A sample has the same fraction of a repeated image as the set, not all or nothing of it."""
    pixels, labels = images(1000, 0)
    pixels[:500], labels[:500] = pixels[0], labels[0]
    first = content_order(pixels, labels)[:200]
    assert abs((first < 500).sum() - 100) < 4 * np.sqrt(200 * 0.25 * 0.8)
    moved = np.random.default_rng(1).permutation(1000)
    again = content_order(pixels[moved], labels[moved])[:200]
    assert np.array_equal(pixels[moved][again], pixels[first])
