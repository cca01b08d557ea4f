"""Augmentation of training images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from labelmint.classifiers.augment import augment
from labelmint.classifiers.settings import NO_AUGMENTATION
from labelmint.random_streams import Stream

IMAGES = torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_without_changes_images_stay_equal():
    assert torch.equal(augment(IMAGES, NO_AUGMENTATION, Stream(0)), IMAGES)


@pytest.mark.parametrize("name", ["rotation", "shift", "scale", "shear", "blur", "contrast", "noise"])
def test_each_change_has_an_effect_and_stays_in_range(name):
    changed = augment(IMAGES, replace(NO_AUGMENTATION, **{name: 0.5}), Stream(1))
    assert changed.shape == IMAGES.shape
    assert changed.abs().max() <= 1
    assert not torch.equal(changed, IMAGES)


def test_blur_does_not_change_a_flat_image():
    flat = torch.full((4, 1, 9, 9), 0.3)
    assert torch.allclose(augment(flat, replace(NO_AUGMENTATION, blur=2.0), Stream(0)), flat, atol=1e-6)


@pytest.mark.parametrize("blur", [2.0, 5.0])
def test_blur_has_the_standard_deviations_that_it_draws(blur):
    """The variance of a blurred dot along a row. Sampled kernels are narrower below 0.8."""
    dot = torch.full((40, 1, 1, 61), -1.0)
    dot[..., 30] = 1
    mass = (augment(dot, replace(NO_AUGMENTATION, blur=blur), Stream(6)) + 1)[:, 0, 0] / 2
    variances = (mass * (torch.arange(61) - 30) ** 2).sum(1) / mass.sum(1)
    drawn = ((Stream(6).uniform(40) * 2 - 1) * blur).abs()
    wide = drawn > 0.8
    assert wide.sum() > 15
    assert variances[wide].sqrt().tolist() == pytest.approx(drawn[wide].tolist(), rel=0.01)


def test_rotation_is_about_the_centre():
    bar = torch.full((1, 1, 17, 17), -1.0)
    bar[0, 0, 8] = 1
    turned = augment(bar.expand(200, -1, -1, -1), replace(NO_AUGMENTATION, rotation=90.0), Stream(0))
    assert (turned[:, 0, 8, 8] > 0.9).all()
