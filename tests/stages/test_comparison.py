"""A person compares families by listing them: one report with an arm of each, beside one baseline."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.stages.tiny import one_thread  # noqa: F401

LISTED = ["dcgan", "cgan", "acgan", "wgan_gp"]


@pytest.fixture(scope="module")
def compared(params, tmp_path_factory) -> Paths:
    """Few real digits; the settings are the default's own, shrunk."""
    params = replace(params, generators=LISTED, percents=[100])
    layout, tracker = Paths(tmp_path_factory.mktemp("compared")), NullTracker()
    plan = [("prepare", None), ("train_feature_network", None), ("train_baselines", Arm("real", 100, 0))]
    arms = [Arm(name, 100, 0) for name in LISTED]
    plan += [(stage, arm) for arm in arms for stage in ("train_generators", "synthesize", "train_classifiers", "evaluate")]  # fmt: skip
    for stage, arm in [*plan, ("report", None)]:
        module = entry(stage)
        module.run(select(module.Params, params, arm), layout, tracker)
    return layout


def test_each_has_its_rows_beside_one_baseline(compared):
    with (compared.reports / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["generator"] for row in rows} == set(LISTED)
    for source, distinct in (("real", 1), ("synthetic", 4)):
        accuracies = {row["generator"]: (row["accuracy"], row["n_real"], row["steps"]) for row in rows if row["source"] == source}  # fmt: skip
        assert len(accuracies) == 4 and all(float(accuracy) > 0 for accuracy, *_ in accuracies.values())
        if distinct == 1:
            assert len(set(accuracies.values())) == 1  # the very same classifier
    distances = {row["frechet_classifier"] for row in rows if row["source"] == "synthetic"}
    assert len(distances) == 4


def test_the_page_shows_each(compared):
    page = (compared.reports / "index.html").read_text()
    assert all(f"{name}-100-0" in page for name in LISTED)
    assert all(f"minted by {name} reaches" in page for name in LISTED)
    assert page.count('class="frames"') == len(LISTED) and page.count('class="frame"') == 2 * len(LISTED)
