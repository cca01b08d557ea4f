"""Pictures in the page, and their limits of size."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.image_grid import grid
from labelmint.reporting import sheets

NAMES = ["Male", "Smiling"]


def pixels(picture: sheets.Picture) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(picture.uri.split(",")[1]))))


@pytest.mark.parametrize("max_bytes", [200_000, 20_000, 3_000])
def test_a_picture_keeps_its_limit_and_its_shown_size(max_bytes):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    shown = sheets.picture(noise, 50, max_bytes)
    assert len(base64.b64decode(shown.uri.split(",")[1])) <= max_bytes
    assert (shown.width, shown.height) == (208, 208)


def test_each_class_has_a_row():
    rows = [(title, indices.tolist()) for title, indices in sheets.rows_of(np.array([1, 0, 1, 1]), NAMES, 2)]
    assert rows == [("Male", [1]), ("Smiling", [0, 2])]


def test_each_frequent_pattern_of_attributes_has_a_row():
    labels = np.array([[1, 1], [0, 0], [1, 1], [0, 1]], np.float32)
    rows = [(title, indices.tolist()) for title, indices in sheets.rows_of(labels, NAMES)]
    assert rows == [("none of them", [1]), ("Smiling", [3]), ("Male+Smiling", [0, 2])]


def test_images_without_labels_fill_untitled_rows():
    rows = sheets.rows_of(np.full(15, -1), NAMES)
    assert [len(indices) for _, indices in rows] == [6, 6, 3]
    assert {title for title, _ in rows} == {""}


def test_real_images_are_left_of_synthetic_ones_of_the_same_class():
    real = np.array([10, 20], np.uint8).reshape(2, 1, 1, 1), np.array([0, 1])
    synthetic = np.array([30, 40], np.uint8).reshape(2, 1, 1, 1), np.array([1, 0])
    shown = sheets.side_by_side(real, synthetic, NAMES, 10_000)
    assert shown.rows == NAMES
    drawn = pixels(shown)  # 6 columns and 5 lines between them, a gap of 2, and the same again
    assert drawn[::2, 0].tolist() == [10, 20]
    assert drawn[::2, 11 + 2].tolist() == [40, 30]


def test_mirrored_neighbours_are_shown_mirrored():
    image = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 1, 2, 2)
    drawn = pixels(sheets.pairs(image, image, [[0, 0, 0.5, 1]], 10_000))
    assert drawn[3:].tolist() == [[2, 1], [4, 3]]


def test_frames_are_read_in_their_original_size(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 1, 16, 16), dtype=np.uint8)
    for epoch in range(1, 6):
        grid(images).save(tmp_path / f"epoch-{epoch:04d}.png")
    frames = sheets.frames(tmp_path, 16, 3, 100_000)
    assert frames.epochs == [1, 3, 5]
    assert np.array_equal(pixels(frames.pictures[0]), np.asarray(grid(images, 1)))
