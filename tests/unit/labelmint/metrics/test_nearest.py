"""Nearest neighbours by hand, against SciPy, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from labelmint.metrics import nearest as module
from labelmint.metrics.nearest import classify, kth_distances, nearest
from tests.unit.labelmint.metrics.points import gaussian


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 13)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)


def test_nearest():
    distances, indices = nearest(np.array([[0.0, 0], [5, 5]]), np.array([[3.0, 4], [5, 6]]))
    assert distances.tolist() == pytest.approx([5, 1])
    assert indices.tolist() == [0, 1]


def test_distance_to_the_kth_other_point():
    points = np.array([[0.0], [1], [3], [7]])
    assert kth_distances(points, 1).tolist() == pytest.approx([1, 1, 2, 4])
    assert kth_distances(points, 2, np.array([3, 0])).tolist() == pytest.approx([6, 3])


def test_blocks_change_nothing(request):
    queries, points = gaussian(70, 4, 0), gaussian(70, 4, 1, 0.3)
    distances, indices = nearest(queries, points)
    request.getfixturevalue("small_blocks")
    again = nearest(queries, points)
    assert np.array_equal(again[1], indices)
    assert np.allclose(again[0], distances)


def test_memory_is_bounded_by_blocks(monkeypatch):
    """4,000 images of 32 x 32 x 3 pixels would be 98 MB as float64."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)  # the least width, 1,000 images
    points = np.random.default_rng(0).integers(0, 256, (4000, 3072), dtype=np.uint8)
    tracemalloc.start()
    distances, indices = nearest(points[:50], points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(indices, np.arange(50))
    assert distances.max() == 0
    assert peak < 70 << 20


class TestClassify:
    def test_agrees_with_all_distances(self, small_blocks):
        rng = np.random.default_rng(0)
        training, test = (rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8) for count in (90, 60))
        labels = rng.integers(0, 5, 90)
        distances = cdist(test.reshape(60, -1).astype(float), training.reshape(90, -1).astype(float))
        assert np.array_equal(classify(test, training, labels), labels[distances.argmin(1)])

    def test_the_first_of_equally_near_images_decides(self, small_blocks):
        training = np.full((40, 1, 1, 1), 7, np.uint8)
        assert classify(training[:2], training, np.arange(40)).tolist() == [0, 0]

    def test_predicts_all_attributes(self):
        training = np.array([0, 200], np.uint8).reshape(2, 1, 1, 1)
        predicted = classify(np.array([[[[190]]]], np.uint8), training, np.array([[0, 1], [1, 0.0]]))
        assert predicted.tolist() == [[1, 0]]
