"""Nearest neighbours by hand, against all distances in float64, and in bounded memory."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from torch.utils._python_dispatch import TorchDispatchMode

from labelmint.metrics import distance_bounds
from labelmint.metrics import nearest as module
from labelmint.metrics.nearest import classify, count_within, kth_distances, nearest
from tests.unit.labelmint.metrics.points import gaussian


def float64_distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """All distances, (N, M), from differences in float64."""
    differences = queries[:, None].astype(np.float64) - points[None].astype(np.float64)
    distances: np.ndarray = np.sqrt(np.square(differences).sum(2))
    return distances


def float32_distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """All distances by one float32 matrix product, as the search would use it without re-ranking."""
    queries, points = queries.astype(np.float32), points.astype(np.float32)
    squares = (queries**2).sum(1)[:, None] + (points**2).sum(1) - 2 * queries @ points.T
    distances: np.ndarray = np.sqrt(squares.clip(min=0))
    return distances


def near_ties() -> tuple[np.ndarray, np.ndarray]:
    """Points that are equal, or differ by a few float32 steps in some dimensions."""
    rng = np.random.default_rng(0)
    originals = rng.normal(0, 1, (12, 24)).astype(np.float32)
    repeated = originals[rng.integers(0, 12, 420)]
    steps = rng.integers(-2, 3, repeated.shape) * (rng.random(repeated.shape) < 0.1)
    points = repeated * (1 + steps * np.finfo(np.float32).eps).astype(np.float32)
    return points[:60], points[60:]


def digits() -> tuple[np.ndarray, np.ndarray]:
    images = (load_digits().images * 15).astype(np.uint8).reshape(-1, 64)
    return images[:80], images[80:400]


def features(offset: float, scale: float, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    points: np.ndarray = (gaussian(220, 16, 0) * scale + offset).astype(dtype)
    return points[:60], points[60:]


CASES = {
    "features": features(0, 1, np.float32),
    "near ties": near_ties(),
    "pixels": digits(),
    "a large offset": features(1000, 0.01, np.float32),
    "a large offset in float64": features(1e6, 1e-4, np.float64),
    "tiny values": features(0, 1e-30, np.float32),
    "huge values": features(0, 1e30, np.float32),
    "an outlier": (gaussian(60, 5, 0), np.concatenate([gaussian(90, 5, 1), np.full((1, 5), 1e9)])),
    "one point": (gaussian(7, 3, 0), gaussian(1, 3, 1)),
    "equal points": (np.ones((30, 4)), np.ones((50, 4))),
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(distance_bounds, "CPU_SIZES", distance_bounds.Sizes(1 << 20, 41, 6000))
    monkeypatch.setattr(distance_bounds, "_QUERY_BYTES", 14_000)
    monkeypatch.setattr(module, "_PAIR_BYTES", 50_000)


@pytest.fixture(params=[False, True], ids=["large blocks", "small blocks"])
def sizes(request):
    if request.param:
        request.getfixturevalue("small_blocks")


@pytest.fixture(params=list(CASES))
def case(request) -> tuple[np.ndarray, np.ndarray]:
    return CASES[request.param]


@pytest.mark.usefixtures("sizes")
class TestEqualsFloat64:
    """Neighbours and distances are those of all float64 distances, bit for bit."""

    def test_nearest(self, case):
        distances, indices = nearest(*case)
        expected = float64_distances(*case)
        assert np.array_equal(indices, expected.argmin(1))
        assert np.array_equal(distances, expected.min(1))

    @pytest.mark.parametrize("k", [1, 2, 5, 1000])
    def test_kth_distances(self, case, k):
        """Also where k exceeds the number of points."""
        points, rows = case[1], np.arange(len(case[1]))[::3]
        ascending = np.sort(float64_distances(points, points), 1)
        expected = ascending[:, min(k, len(points) - 1)]
        assert np.array_equal(kth_distances(points, k), expected)
        assert np.array_equal(kth_distances(points, k, rows), expected[rows])

    def test_count_within(self, case):
        centres, points = case
        distances = float64_distances(centres, points)
        radii = np.sort(distances, 1)[:, min(4, len(points) - 1)]  # so that a point lies on each boundary
        inside = distances <= radii[:, None]
        of_points, of_balls = count_within(centres, radii, points)
        assert np.array_equal(of_points, inside.sum(0))
        assert np.array_equal(of_balls, inside.sum(1))


@pytest.mark.parametrize("name", ["near ties", "a large offset"])
def test_float32_alone_finds_other_neighbours(name):
    """Negative control: these cases need the float64 comparison."""
    found = float32_distances(*CASES[name]).argmin(1)
    assert not np.array_equal(found, float64_distances(*CASES[name]).argmin(1))


@pytest.mark.parametrize("name", ["features", "near ties", "pixels"])
def test_few_candidates_are_left_for_float64(name):
    queries, points = CASES[name]
    found = next(distance_bounds.candidates(queries, points, 1, "cpu"))
    assert len(found.queries) < 0.2 * len(queries) * len(np.unique(points, axis=0))


def test_bounds_hold():
    """Errors are below their bounds, and not all of them by more than a factor of 10,000."""
    queries, points = features(3, 1, np.float32)
    frame = distance_bounds.Frame.of(queries, points, "cpu")
    (first,), (second,) = frame.queries(queries), frame.points(points)
    ((_, h),) = frame.tiles(first, second)
    exact = (float64_distances(queries, points) * frame.scale) ** 2
    error = np.abs(first.norms[:, None] + h.double().numpy() - exact)
    bound = (first.errors[:, None] + second.errors).numpy()
    assert (error < bound).all()
    assert error.max() > 1e-4 * bound.max()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    points = gaussian(5, 2, 0)
    with pytest.raises(ValueError, match="finite"):
        nearest(points, np.where(points == points[3, 1], value, points))


def test_products_are_full_precision(monkeypatch):
    """TensorFloat-32, which evaluation allows networks, would break the bounds."""
    used = []

    @contextmanager
    def spy(compute, device):
        used.append((compute.precision, device.type))
        yield

    monkeypatch.setattr(distance_bounds, "arithmetic", spy)
    nearest(*CASES["features"])
    assert used == [("fp32", "cpu")]


def test_mps_leaves_searches_to_the_cpu():
    devices = ("cpu", "cuda:1", "mps")
    found = [distance_bounds.Frame.of(*CASES["features"], device).device.type for device in devices]
    assert found == ["cpu", "cuda", "cpu"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same(case):
    queries, points = case
    for on_gpu, on_cpu in zip(nearest(queries, points, "cuda"), nearest(queries, points)):
        assert np.array_equal(on_gpu, on_cpu)
    assert np.array_equal(kth_distances(points, 3, device="cuda"), kth_distances(points, 3))
    radii = kth_distances(points, 1)
    within = (count_within(points, radii, queries, device) for device in ("cuda", "cpu"))
    for on_gpu, on_cpu in zip(*within):
        assert np.array_equal(on_gpu, on_cpu)


def test_nearest_by_hand():
    distances, indices = nearest(np.array([[0.0, 0], [5, 5]]), np.array([[3.0, 4], [5, 6]]))
    assert distances.tolist() == [5, 1]
    assert indices.tolist() == [0, 1]


def test_distance_to_the_kth_other_point_by_hand():
    points = np.array([[0.0], [1], [3], [7]])
    assert kth_distances(points, 1).tolist() == [1, 1, 2, 4]
    assert kth_distances(points, 2, np.array([3, 0])).tolist() == [6, 3]


def test_no_queries():
    assert [len(each) for each in nearest(np.empty((0, 3)), gaussian(4, 3, 0))] == [0, 0]


def test_memory_is_bounded_by_blocks(monkeypatch):
    """4,000 images of 32 x 32 x 3 pixels would be 98 MB as float64 and 49 MB as float32."""
    monkeypatch.setattr(distance_bounds, "CPU_SIZES", distance_bounds.Sizes(8 << 20, 4096, 1 << 20))
    points = np.random.default_rng(0).integers(0, 256, (4000, 3072), dtype=np.uint8)
    tracemalloc.start()
    with LargestTensor() as largest:
        distances, indices = nearest(points[:50], points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(indices, np.arange(50))
    assert distances.max() == 0
    assert peak < 40 << 20
    assert largest.bytes <= 8 << 20


class LargestTensor(TorchDispatchMode):
    """Largest tensor that any operation returns, which tracemalloc does not see."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.bytes = max(self.bytes, found.nbytes)
        return found


class TestClassify:
    @pytest.mark.usefixtures("small_blocks")
    def test_agrees_with_all_distances(self):
        rng = np.random.default_rng(0)
        training, test = (rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8) for count in (90, 60))
        labels = rng.integers(0, 5, 90)
        distances = cdist(test.reshape(60, -1).astype(float), training.reshape(90, -1).astype(float))
        assert np.array_equal(classify(test, training, labels), labels[distances.argmin(1)])

    @pytest.mark.usefixtures("small_blocks")
    def test_the_first_of_equally_near_images_decides(self):
        training = np.full((40, 1, 1, 1), 7, np.uint8)
        assert classify(training[:2], training, np.arange(40)).tolist() == [0, 0]

    def test_predicts_all_attributes(self):
        training = np.array([0, 200], np.uint8).reshape(2, 1, 1, 1)
        predicted = classify(np.array([[[[190]]]], np.uint8), training, np.array([[0, 1], [1, 0.0]]))
        assert predicted.tolist() == [[1, 0]]
