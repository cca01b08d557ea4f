"""Agreement with other implementations, by values recorded from them for fixed points.

Recorded from prdc 0.2, torch-fidelity 0.4.0, torchmetrics 1.9.0 and dgm-eval at commit 74c79f7, in float64.
"""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import memorization
from labelmint.metrics.frechet import frechet
from labelmint.metrics.kid import kernel_distance
from labelmint.metrics.memorization import Neighbours
from labelmint.metrics.precision_recall import neighbourhoods


def lattice(count: int, step: int) -> np.ndarray:
    """Points in [0, 1), (count, 6), from integers alone: the same on any machine."""
    row, column = np.meshgrid(np.arange(count), np.arange(6), indexing="ij")
    mixed = row * row * (7 + step) + column * column * 31 + (row + 3) * (column + 5) * (11 + step) * 101
    points: np.ndarray = mixed % 1009 / 1009
    return points


REAL, SYNTHETIC, TEST = lattice(120, 0), lattice(120, 3) * 0.8 + 0.3, lattice(80, 5)
NEAR = np.concatenate([SYNTHETIC[:80], REAL[:20] + 0.01])
GRID = np.indices((6, 6)).reshape(2, -1).T.astype(float)


def test_prdc_and_torch_fidelity_where_no_distances_are_equal():
    expected = {
        "precision": 112 / 120,
        "recall": 86 / 120,
        "density": 0.7833333333333333,
        "coverage": 85 / 120,
    }
    assert neighbourhoods(REAL, SYNTHETIC, 5) == pytest.approx(expected, rel=1e-12)


def test_points_on_the_edge_of_a_neighbourhood_are_in_it():
    """As the papers and torch-fidelity have it (<=); prdc (<) gives .8333, .8333, .5889 and .8056."""
    expected = {"precision": 31 / 36, "recall": 31 / 36, "density": 1.0277777777777777, "coverage": 31 / 36}
    assert neighbourhoods(GRID, GRID + [2, 1], 5) == pytest.approx(expected, rel=1e-12)


def test_an_offset_of_a_million_changes_no_neighbourhood():
    """Sums of |a|^2 + |b|^2 - 2ab would lose the digits that decide."""
    offset = 2.0**20  # exact in float64 for coordinates that are multiples of 2^-20
    real, synthetic = (np.round(points * 2**20) / 2**20 for points in (REAL, SYNTHETIC))
    assert neighbourhoods(real + offset, synthetic + offset, 5) == neighbourhoods(real, synthetic, 5)
    assert frechet(real + offset, synthetic + offset) == pytest.approx(frechet(real, synthetic), rel=1e-9)


def test_kernel_distance_of_torch_fidelity_and_torchmetrics():
    assert kernel_distance(REAL, SYNTHETIC) == pytest.approx(0.3581493216709877, rel=1e-10)


def test_frechet_distance_of_torch_fidelity_torchmetrics_and_dgm_eval():
    assert frechet(REAL, SYNTHETIC) == pytest.approx(0.30109813341953784, rel=1e-10)


def test_authpct_of_dgm_eval():
    assert memorization.authenticity(Neighbours.of(NEAR, TEST, REAL), REAL).value == 0.58


def test_mann_whitney_of_dgm_eval():
    """Its z has a continuity correction of half a pair, and no correction of the variance for ties."""
    deviation = np.sqrt(100 * 80 * 181 / 12)
    found = memorization.copying(NEAR, TEST, REAL, Neighbours.of(NEAR, TEST, REAL)).value
    assert found == pytest.approx(3.13929416 - 0.5 / deviation, abs=2e-4)
