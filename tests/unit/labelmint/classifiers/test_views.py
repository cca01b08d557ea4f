"""Views of images."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.classifiers import sources, views

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8)


def test_every_view_has_a_source_of_real_and_one_of_synthetic_images():
    for origin in ("real", "synthetic"):
        names = [name for name in views.VIEWS if sources.SOURCES[f"{origin}_{name}"].view == name]
        assert names == list(views.VIEWS)


def test_a_flat_image_has_no_residual():
    assert (views.residual(np.full((1, 3, 8, 8), 77, np.uint8)) == 128).all()


def test_the_residual_is_four_times_the_difference_from_the_local_mean():
    image = np.full((1, 1, 7, 7), 40, np.uint8)
    image[0, 0, 3, 3] = 49  # the mean of the nine pixels is 41: 8 above it here, 1 below it next to it
    found = views.residual(image)[0, 0]
    assert found[3, 3] == 128 + 4 * 8
    assert found[2, 3] == 128 - 4
    assert found[0, 0] == 128


def test_only_a_frame_of_the_background_remains():
    framed = views.background(IMAGES)
    assert (framed[..., 2:14, 2:14] == 128).all()
    assert np.array_equal(framed[..., :2, :], IMAGES[..., :2, :])
    assert np.array_equal(framed[..., 14:], IMAGES[..., 14:])


def test_blur_keeps_the_sum_of_a_point():
    image = np.zeros((1, 1, 9, 9), np.uint8)
    image[0, 0, 4, 4] = 250
    blurred = views.blurred(image)
    assert blurred.sum() == pytest.approx(250, abs=8)
    assert blurred[0, 0, 4, 4] == round(250 * 0.4026**2)


def test_eight_levels_remain():
    assert set(np.unique(views.requantized(IMAGES))) == {16, 48, 80, 112, 144, 176, 208, 240}


def test_noise_is_the_same_each_time():
    grey = np.full((50, 1, 16, 16), 128, np.uint8)
    assert np.array_equal(views.noised(grey), views.noised(grey))
    assert views.noised(grey).std() == pytest.approx(16, abs=0.3)
