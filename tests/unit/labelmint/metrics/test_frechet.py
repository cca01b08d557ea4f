"""Fréchet distances at known answers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.linalg import eigvals, sqrtm

from labelmint.metrics.frechet import frechet, frechet_infinity
from tests.unit.labelmint.metrics.points import gaussian


def by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    """The distance by its definition, with the matrix square root of SciPy."""
    c1, c2 = (np.cov(part.astype(np.float64), rowvar=False) for part in (first, second))
    means = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    return float((means**2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real))


class TestFrechet:
    def test_of_a_set_with_itself_is_zero(self):
        points = gaussian(500, 8, 0)
        assert frechet(points, points) == pytest.approx(0, abs=1e-9)

    def test_of_a_shift_is_its_squared_length(self):
        points = gaussian(500, 4, 0)
        assert frechet(points, points + np.array([3.0, 0, 4, 0])) == pytest.approx(25, rel=1e-9)

    def test_of_a_scaled_set_has_a_closed_form(self):
        # C2 = 4 C1 and the same mean: tr(C1 + 4 C1 - 2 * 2 C1) = tr C1
        points = gaussian(500, 4, 0)
        points -= points.mean(0)
        assert frechet(points, 2 * points) == pytest.approx(np.trace(np.cov(points, rowvar=False)), rel=1e-9)

    def test_agrees_with_the_matrix_square_root(self):
        first, second = gaussian(300, 32, 0), gaussian(300, 32, 1, 0.2) @ np.diag(np.linspace(0.5, 2, 32))
        assert frechet(first, second) == pytest.approx(by_matrix_root(first, second), rel=1e-6)

    def test_of_a_singular_covariance(self):
        """With fewer points than dimensions sqrtm is inexact; its trace sums the eigenvalues' roots."""
        first, second = gaussian(20, 32, 0), gaussian(20, 32, 1, 0.2) @ np.diag(np.linspace(0.5, 2, 32))
        c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
        root = np.sqrt(eigvals(c1 @ c2).real.clip(min=0)).sum()
        expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(c1 + c2) - 2 * root
        assert frechet(first, second) == pytest.approx(expected, rel=1e-6)

    def test_of_features_far_from_zero_keeps_its_digits(self):
        """float32, as features are, with a mean a thousand times the deviation; the last chunk is smaller."""
        first, second = (gaussian(2500, 8, seed, 1000 + seed / 4).astype(np.float32) for seed in (0, 1))
        assert frechet(first, second) == pytest.approx(by_matrix_root(first, second), rel=1e-6)

    def test_memory_is_that_of_chunks(self):
        """50,000 x 64 float32 are 13 MB: a float64 copy would take 26 MB, and one for each of 15 sizes."""
        points = np.random.default_rng(0).standard_normal((50_000, 64), dtype=np.float32)
        tracemalloc.start()
        values = frechet(points, points[::2]), frechet_infinity(points[:20_000], points)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert values[0] < 0.05
        assert values[1] is not None
        assert abs(values[1]) < 0.05
        assert peak < 8 << 20

    def test_does_not_depend_on_order(self):
        first, second = gaussian(200, 8, 0), gaussian(300, 8, 1)
        assert frechet(first[::-1], second[::-1]) == pytest.approx(frechet(first, second), rel=1e-9)


class TestFrechetInfinity:
    def test_removes_the_bias_of_few_points(self):
        """Between two draws from one Gaussian the distance is all bias: its true value is 0."""
        reference = gaussian(50_000, 8, 0)
        draws = [gaussian(600, 8, seed) for seed in range(1, 13)]
        plain = np.mean([frechet(points, reference) for points in draws])
        assert plain > 0.03
        assert abs(np.mean([frechet_infinity(points, reference) for points in draws])) < plain / 4

    def test_finds_a_true_distance(self):
        distance = frechet_infinity(gaussian(4000, 4, 1, 0.5), gaussian(50_000, 4, 0))
        assert distance == pytest.approx(1.0, abs=0.08)

    def test_is_the_line_through_the_distances_of_the_first_points(self):
        """Here each size is measured by itself; frechet_infinity adds points to those before."""
        points, reference = gaussian(2600, 6, 0, 0.3), gaussian(900, 6, 1)
        sizes = np.linspace(520, 2600, 15).astype(int)
        line = np.polyfit(1 / sizes, [frechet(points[:size], reference) for size in sizes], 1)
        assert frechet_infinity(points, reference) == pytest.approx(line[1], rel=1e-6)

    def test_needs_enough_points(self):
        assert frechet_infinity(gaussian(100, 64, 0), gaussian(500, 64, 1)) is None
