"""Fairness gaps at known answers, and through the stage on drawn faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelmint.metrics import fairness
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm
from tests.stages.test_labels import all_stages


def groups(first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Protected (0 then 1) and outcome, from (without, with) the outcome in each group."""
    protected = np.repeat([0, 1], [sum(first), sum(second)])
    outcome = np.concatenate([np.repeat([0, 1], first), np.repeat([0, 1], second)])
    return protected, outcome


class TestGaps:
    def test_demographic_parity_by_hand(self):
        found = fairness.gap(*map(np.array, (lambda c, y: (c > 0, y > 0))(*groups([60, 40], [90, 10]))), 500)
        assert found["value"] == pytest.approx(0.1 - 0.4)
        # The normal interval: 1.96 sqrt(.4 .6 / 100 + .1 .9 / 100) = 0.1126
        assert found["low"] == pytest.approx(-0.4126, abs=0.02) and found["high"] == pytest.approx(-0.1874, abs=0.02)

    def test_of_a_classifier_by_hand(self):
        protected = np.array([0, 0, 0, 0, 1, 1, 1, 1])
        outcome = np.array([1, 1, 0, 0, 1, 1, 0, 0])
        told = np.array([1, 1, 0, 1, 1, 0, 0, 0])
        found = fairness.classifier_gaps(protected, outcome, told, 100)
        assert found["demographic_parity"]["value"] == pytest.approx(1 / 4 - 3 / 4)
        assert found["equality_of_opportunity"]["value"] == pytest.approx(1 / 2 - 1)
        assert found["false_positive_rate"]["value"] == pytest.approx(0 - 1 / 2)
        assert found["error_rates"] == [1 / 4, 1 / 4]

    def test_no_gap_is_within_the_interval(self):
        protected, outcome = groups([500, 500], [500, 500])
        found = fairness.gap(protected > 0, outcome > 0, 500)
        assert (
            found["value"] == 0
            and found["low"] < 0 < found["high"]
            and found["high"] == pytest.approx(0.0438, abs=0.008)
        )

    def test_a_change_is_paired(self):
        """Two classifiers that differ in one answer: each gap is unsure, the change is not."""
        rng = np.random.default_rng(0)
        protected, outcome, before = rng.integers(0, 2, (3, 400))
        same = fairness.changes(protected, outcome, before, before, 200)
        assert all(same[kind] == {"value": 0, "low": 0, "high": 0} for kind in same)
        after = np.where(protected == 1, 1, before)
        found = fairness.changes(protected, outcome, before, after, 200)["equality_of_opportunity"]
        own = fairness.classifier_gaps(protected, outcome, before, 200)["equality_of_opportunity"]
        then = fairness.classifier_gaps(protected, outcome, after, 200)["equality_of_opportunity"]
        assert found["value"] == pytest.approx(then["value"] - own["value"])
        assert 0 < found["low"] < found["value"] < found["high"]
        assert fairness.changes(np.ones(4), np.ones(4), np.ones(4), np.ones(4), 10)["demographic_parity"] is None

    def test_an_empty_group_has_no_gap(self):
        assert fairness.gap(np.zeros(5, bool), np.ones(5, bool), 10) is None


@pytest.fixture(scope="module")
def fair(params, tmp_path_factory):
    data = replace(params.dataset, name="faces", attributes=["Male", "Attractive"], image_size=16, channels=3, images_per_class=150)  # fmt: skip
    asked = replace(params, dataset=data, generators=["attribute_cgan"], percents=[100])
    asked = replace(asked, metrics=replace(params.metrics, protected="Male", outcome="Attractive", bootstrap=200))
    return asked, all_stages(asked, tmp_path_factory.mktemp("fair"))


def test_through_the_stage(fair):
    asked, layout = fair
    content = load_json(layout.metrics(Arm("attribute_cgan", 100, 0)))["fairness"]
    real = content["data"]["real"]["demographic_parity"]
    # Drawn so that 0.68 of the women and 0.28 of the men are: labelmint/data/sources/faces.py.
    assert real["low"] < -0.4 < real["high"] and set(content["classifiers"]) == {"real", "synthetic", "mixed"}
    assert content["data"]["synthetic"]["demographic_parity"]["value"] == pytest.approx(real["value"], abs=0.12)
    # Of pictures by a generator of two epochs, told by a classifier of few steps: that it was measured is all that can be said.
    assert -1 <= content["seen"]["synthetic"]["demographic_parity"]["value"] <= 1
    assert set(content["changes"]) == {"synthetic", "mixed"}
    for source, found in content["changes"].items():
        gaps = [content["classifiers"][name]["equality_of_opportunity"]["value"] for name in (source, "real")]
        assert found["equality_of_opportunity"]["value"] == pytest.approx(gaps[0] - gaps[1])
    page = (layout.reports / "index.html").read_text()
    assert "less that of real" in page and "as the classifier of real sees them" in page
    assert "Attractive between Male and not" in page and "equality of opportunity" in page


def test_an_attribute_that_is_not_there_is_refused(fair):
    asked, layout = fair
    module = entry("evaluate")
    wrong = replace(asked, metrics=replace(asked.metrics, protected="Hat"))
    with pytest.raises(InputError, match="'Hat' is not among dataset.attributes, Male, Attractive"):
        module.run(select(module.Params, wrong, Arm("attribute_cgan", 100, 0)), layout, NullTracker())
