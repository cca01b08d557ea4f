"""Precision, recall, density and coverage at known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from labelmint.metrics import distance_bounds
from labelmint.metrics.precision_recall import neighbourhoods
from tests.unit.labelmint.metrics.points import gaussian


def test_equal_gaussians():
    """Naeem et al. 2020: density near 1, coverage near 1 - 1/2^k; precision is lower in many dimensions."""
    found = neighbourhoods(gaussian(2000, 64, 0), gaussian(2000, 64, 1), k=5)
    assert found["density"] == pytest.approx(1.0, abs=0.05)
    assert found["coverage"] == pytest.approx(0.97, abs=0.015)


@pytest.mark.parametrize("k", [1, 5])
def test_agree_with_the_definitions_over_all_pairs(k):
    """Kynkäänniemi et al. 2019, eq. 1 and 2; Naeem et al. 2020, eq. 3 and 5: loops over SciPy's distances."""
    real, synthetic = gaussian(150, 5, 0), gaussian(150, 5, 1, 0.4) * 0.8
    # A point is not its own neighbour: the k-th of the others has index k in its sorted row.
    real_radii, synthetic_radii = (np.sort(cdist(points, points), 1)[:, k] for points in (real, synthetic))
    distance, count = cdist(real, synthetic), range(150)
    expected = {
        "precision": np.mean([any(distance[i, j] <= real_radii[i] for i in count) for j in count]),
        "recall": np.mean([any(distance[i, j] <= synthetic_radii[j] for j in count) for i in count]),
        "density": sum(distance[i, j] <= real_radii[i] for i in count for j in count) / (k * 150),
        "coverage": np.mean([min(distance[i]) <= real_radii[i] for i in count]),
    }
    assert 0 < min(expected.values()) < 1
    assert neighbourhoods(real, synthetic, k) == pytest.approx(expected, rel=1e-12)


def test_a_set_against_itself_is_perfect():
    found = neighbourhoods(gaussian(100, 3, 0), gaussian(100, 3, 0))
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_collapse_keeps_precision_and_loses_recall_and_coverage():
    real = gaussian(1000, 4, 0)
    synthetic = np.repeat(real[:1], 1000, 0) + gaussian(1000, 4, 1) * 1e-3
    found = neighbourhoods(real, synthetic)
    assert found["precision"] == 1
    assert found["recall"] < 0.01
    assert found["coverage"] < 0.05


def test_a_distant_set_gets_nothing():
    assert set(neighbourhoods(gaussian(100, 4, 0), gaussian(100, 4, 1, 50.0)).values()) == {0.0}


def test_neither_blocks_nor_order_change_anything(monkeypatch):
    real, synthetic = gaussian(70, 4, 0), gaussian(70, 4, 1, 0.3)
    whole = neighbourhoods(real, synthetic)
    monkeypatch.setattr(distance_bounds, "CPU_SIZES", distance_bounds.Sizes(1 << 20, 13, 400))
    monkeypatch.setattr(distance_bounds, "_QUERY_BYTES", 600)
    assert neighbourhoods(real, synthetic) == whole
    assert neighbourhoods(real[::-1], synthetic[::-1]) == pytest.approx(whole)
