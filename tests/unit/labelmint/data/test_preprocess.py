"""Cropping, resizing and channels, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data import preprocess
from labelmint.data.settings import Dataset, Fit
from labelmint.data.source import BadImageError, Content


def to_tensor(content: Content, dataset: Dataset, box: np.ndarray | None = None) -> np.ndarray:
    return preprocess.to_tensor(content, dataset, box).pixels


def test_pad_surrounds_the_image():
    image = np.full((2, 2), 9, np.uint8)
    padded = to_tensor(image, Dataset(image_size=4, fit="pad", channels=3, background=1))
    assert padded.shape == (3, 4, 4)
    assert padded[0].tolist() == [[1, 1, 1, 1], [1, 9, 9, 1], [1, 9, 9, 1], [1, 1, 1, 1]]


def test_pad_refuses_a_larger_image():
    with pytest.raises(BadImageError, match="28x28 pixels, more than image_size 16"):
        to_tensor(np.zeros((28, 28), np.uint8), Dataset(image_size=16, fit="pad"))


def test_resize_filter():
    image = np.zeros((8, 8), np.uint8)
    image[:, 4:] = 200
    hard = to_tensor(image, Dataset(image_size=16, resize_filter="nearest"))
    soft = to_tensor(image, Dataset(image_size=16, resize_filter="bilinear"))
    assert set(np.unique(hard)) == {0, 200}
    assert len(np.unique(soft)) > 2


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = to_tensor(stripes, Dataset(image_size=8, resize_filter="bilinear"))
    assert small[0, :, 1:-1].min() > 120
    assert small[0, :, 1:-1].max() < 136


def test_fit_of_a_wide_image():
    """12 x 6 pixels: red on both sides, blue in the middle 6 columns."""
    image = np.zeros((6, 12, 3), np.uint8)
    image[..., 0], image[:, 3:9, 0], image[:, 3:9, 2] = 50, 0, 50

    def fitted(fit: Fit) -> np.ndarray:
        return to_tensor(image, Dataset(image_size=6, channels=3, fit=fit, resize_filter="box"))

    covered = fitted("cover")
    assert (covered[2] == 50).all()
    assert (covered[0] == 0).all()
    contained = fitted("contain")
    assert contained[:, [0, -1]].max() == 0  # padded above and below
    assert contained[0, 2, 0] == 50
    assert contained[2, 2, 3] == 50
    stretched = fitted("resize")
    assert stretched[0, :, 0].min() == 50
    assert stretched[2, :, 3].min() == 50


def test_center_crop_keeps_a_percentage_of_each_side():
    image = np.zeros((20, 10), np.uint8)
    image[3:17, 1:8] = 100  # rows 3..16 of 20 and columns 1..7 of 10 are 70 %
    crop = Dataset(image_size=14, crop="center", crop_percent=70, resize_filter="nearest")
    assert (to_tensor(image, crop) == 100).all()


def test_colour_becomes_grey_and_grey_becomes_colour():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (to_tensor(red, Dataset(image_size=4)) == 76).all()  # ITU-R 601: 0.299 of 255
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (to_tensor(grey, Dataset(image_size=8, channels=3)) == grey).all()


def test_bounding_box_is_clipped_and_must_meet_the_image():
    dataset = Dataset(name="faces", attributes=["Male"], crop="bounding_box", image_size=4)
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert (to_tensor(image, dataset, np.array([-2, -2, 4, 4])) == image[:4, :4]).all()
    with pytest.raises(BadImageError, match="outside of its 10 x 10 pixels"):
        to_tensor(image, dataset, np.array([12, 0, 20, 8]))
