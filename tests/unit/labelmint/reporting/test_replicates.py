"""Intervals over replicates."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from labelmint.reporting import replicates
from labelmint.reporting.verdict import verdict
from tests.unit.labelmint.reporting.rows import row


@pytest.fixture(autouse=True, scope="module")
def scipy_is_imported():
    """The import takes seconds, which count for no test here."""
    importlib.import_module("scipy.stats")


def test_equal_replicates_keep_the_interval_over_test_images():
    rows = [{**row("synthetic", 0.978, difference=-0.002), "seed": seed} for seed in range(3)]
    found = replicates.table(rows)[0]["difference"]
    assert found.half_width == pytest.approx(0.01)
    assert not found.significant


def test_the_interval_combines_seeds_and_test_images():
    """By hand: mean -0.02, deviation 0.01, t(0.975, 2) = 4.3027; each row's own half-width is 0.01."""
    rows = [
        {**row(source, accuracy, difference=difference), "seed": seed}
        for seed, change in enumerate((-0.01, -0.02, -0.03))
        for source, accuracy, difference in (("real", 0.98, 0.0), ("synthetic", 0.98 + change, change))
    ]
    line = next(line for line in replicates.table(rows) if line["source"] == "synthetic")
    found = line["difference"]
    assert (found.value, found.seeds) == (pytest.approx(-0.02), 3)
    assert found.half_width == pytest.approx(np.hypot(4.302653 * 0.01 / np.sqrt(3), 0.01), rel=1e-6)
    assert not found.significant
    assert line["accuracy"].value == pytest.approx(0.96)
    conclusion, coverage = verdict(rows, 359)
    assert "costs 2.0 ± 2.7 points (no evidence of a loss)" in conclusion
    assert coverage.startswith("3 replicates")
