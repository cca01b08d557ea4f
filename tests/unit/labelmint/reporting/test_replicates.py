"""Means over replicates, and the adjustment of p values."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import per_image
from labelmint.metrics.replicated import Replicated
from labelmint.reporting import replicates, tables
from tests.unit.labelmint.reporting.rows import row


def rows_of(correct: dict[str, np.ndarray]) -> list[replicates.Row]:
    """Rows by source from (R, N) of 0 and 1, in an order that mixes seeds."""
    return [
        row(source, float(scores[seed].mean()), seed=seed) | {"correct": per_image.packed(scores[seed], 1)}
        for source, scores in correct.items()
        for seed in ((2, 0, 1) if source == "real" else (0, 1, 2))
    ]


@pytest.fixture
def correct() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        source: (rng.random((3, 500)) < level).astype(float)
        for source, level in (("real", 0.97), ("synthetic", 0.9), ("mixed", 0.97))
    }


def test_means_pair_the_seeds_and_the_test_images(correct):
    lines = {line["source"]: line for line in replicates.table(rows_of(correct))}
    difference = lines["synthetic"]["difference"]
    expected = Replicated.of(correct["synthetic"] - correct["real"]).difference()
    assert (difference.value, difference.low, difference.high) == pytest.approx(expected)
    accuracy = lines["real"]["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx(
        Replicated.of(correct["real"]).proportion()
    )
    assert (difference.seeds, lines["real"]["difference"].half_width) == (3, 0)


def test_the_summary_and_the_table_have_the_same_means(correct):
    rows = rows_of(correct)
    (summary,) = tables.to_summary(rows).values()
    for line in replicates.table(rows):
        assert summary[f"accuracy_{line['source']}"] == pytest.approx(line["accuracy"].value, abs=1e-6)
        assert f"| {100 * line['accuracy'].value:.2f} [" in tables.to_markdown(
            [each | {"measured": {"frechet_classifier": {"n": 9}}} for each in rows]
        )


def test_rows_of_a_table_have_a_mean_that_covers_seeds_and_test_images():
    """By hand: deviation 0.01 over three seeds, t(0.975, 2) = 4.3027; half-width of each row 0.01."""
    rows = [row("synthetic", accuracy, seed=seed) for seed, accuracy in enumerate((0.95, 0.96, 0.97))]
    found = replicates.by_source(rows)["dcgan", 40, "synthetic"].accuracy
    half_width = np.hypot(4.302653 * 0.01 / np.sqrt(3), 0.01)
    assert (found.value, found.low, found.high, found.seeds) == pytest.approx(
        (0.96, 0.96 - half_width, 0.96 + half_width, 3), rel=1e-6
    )


def test_one_seed_keeps_its_own_interval_and_is_no_evidence():
    groups = replicates.by_source([row("real", 0.98), row("synthetic", 0.5, difference=-0.48)])
    found = groups["dcgan", 40, "synthetic"].difference
    assert (found.value, found.low, found.high, found.seeds) == (-0.48, -0.49, -0.47, 1)
    assert replicates.evidence(groups) == {}


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    assert replicates.holm(p_values) == pytest.approx(adjusted)
