"""Every stage at the smallest sizes that the settings allow."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest

from stages.paths import Paths
from tests.conftest import run_stages


@pytest.mark.parametrize("epochs", [None, 1])
def test_smallest_sizes(params, tmp_path, epochs):
    smallest = replace(
        params,
        dataset=replace(params.dataset, images_per_class=4, test_percent=1),
        percents=[100],
        training=replace(params.training, epochs=1, images_per_epoch=1, batch_size=2, preview_images=1),
        synthesis=replace(params.synthesis, images_per_class=2),
        classifier=replace(
            params.classifier,
            steps=1,
            epochs=epochs,
            evaluations=1,
            batch_size=2,
            holdout_percent=90,
            holdout_max_images=10,
        ),
        feature_network=replace(params.feature_network, features=2, steps=1, batch_size=2),
        metrics=replace(params.metrics, points=10, neighbours=1),
    )
    run_stages(Paths(tmp_path), smallest)
    with (tmp_path / "reports" / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} >= {"real", "synthetic", "mixed"}
    assert all(math.isfinite(float(row["accuracy"])) for row in rows)
