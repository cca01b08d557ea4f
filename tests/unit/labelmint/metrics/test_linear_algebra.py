"""Float64 by torch, as on a CUDA device, equals NumPy's to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import kid, linear_algebra
from labelmint.metrics.frechet import frechet, frechet_infinity
from labelmint.metrics.kid import kernel_distance
from tests.unit.labelmint.metrics.points import gaussian

FIRST, SECOND = (gaussian(300, 6, seed, 0.2 * seed).astype(np.float32) for seed in (0, 1))


@pytest.fixture
def by_torch(monkeypatch):
    """Take the code path of CUDA, on the CPU."""
    for module in (linear_algebra, kid):
        monkeypatch.setattr(module, "has_float64", lambda device: True)


def test_only_cuda_computes_float64():
    assert [linear_algebra.has_float64(device) for device in ("cuda", "cuda:1", "mps", "cpu")] == [
        *(True, True),
        *(False, False),
    ]


@pytest.mark.parametrize("measure", [frechet, frechet_infinity, kernel_distance])
def test_distances_are_equal_to_rounding(measure, request):
    expected = measure(FIRST, SECOND)
    request.getfixturevalue("by_torch")
    found = measure(FIRST, SECOND)
    assert found == pytest.approx(expected, rel=1e-10)
    assert found > 0
