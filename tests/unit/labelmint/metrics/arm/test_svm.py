"""The linear SVM against liblinear, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from labelmint.metrics.arm import svm
from tests.unit.labelmint.metrics.points import overlapping_classes


def scaled(table: svm.Table) -> np.ndarray:
    return np.concatenate([part for _, part in table.chunks()])


def test_is_liblinear():
    values, labels = overlapping_classes(400, 0)
    table = svm.Table.of(values, np.arange(400))
    weights, converged = svm.fit(table, labels, 3, 2.0, iterations=5000)
    assert converged
    library = LinearSVC(C=2.0, dual=False, tol=1e-10, fit_intercept=False, max_iter=100_000)
    library.fit(scaled(table), labels)
    assert np.allclose(weights, library.coef_, atol=5e-3)
    held_out, truth = overlapping_classes(1000, 1)
    others = table.scaled_alike(held_out, np.arange(1000))
    predictions = svm.classify(others, weights)
    assert (predictions == library.predict(scaled(others))).mean() > 0.998
    assert (predictions == truth).mean() > 0.6


def test_chunks_change_nothing(monkeypatch):
    values, labels = overlapping_classes(200, 0)
    whole, _ = svm.fit(svm.Table.of(values, np.arange(200)), labels, 3, 1.0)
    monkeypatch.setattr(svm, "_CHUNK_BYTES", 4 * 12 * 7)  # seven rows at a time
    again, _ = svm.fit(svm.Table.of(values, np.arange(200)), labels, 3, 1.0)
    assert np.allclose(whole, again, atol=1e-3)


def test_features_are_scaled_and_constant_ones_become_zero():
    values, _ = overlapping_classes(500, 0)
    values = np.concatenate([1e3 * values + 7, np.full((500, 1), 3.3)], 1)
    features = scaled(svm.Table.of(values, np.arange(500)))
    assert (features[:, -1] == 1).all()
    assert (features[:, 12] == 0).all()
    assert (features[:, :12] ** 2).mean() == pytest.approx(1 / 13, rel=1e-3)


def test_memory_does_not_grow_with_the_set(tmp_path, monkeypatch):
    """300 rows of 28,672 features: 69 MB as the float64 that liblinear would make."""
    assert svm.rows_per_chunk(28_672) == 146
    monkeypatch.setattr(svm, "_CHUNK_BYTES", 1 << 20)
    values = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float16, (300, 28_672))
    values[:] = np.random.default_rng(0).integers(-2, 3, (300, 28_672), np.int8)
    labels = np.arange(300) % 2
    values[labels == 1, :50] += 2
    tracemalloc.start()
    weights, converged = svm.fit(svm.Table.of(values, np.arange(300)), labels, 2, 1.0, iterations=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not converged
    assert weights.shape == (2, 28_673)
    assert peak < 40 << 20
