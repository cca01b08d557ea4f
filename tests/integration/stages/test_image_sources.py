"""Classifiers of every image source, from training to the report: controls fail, and upper bounds do not."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from labelmint.classifiers import archive
from labelmint.classifiers.settings import Augmentation
from labelmint.classifiers.sources import SOURCES
from labelmint.reporting import tables
from labelmint.reporting.tables import read_results
from labelmint.runtime.atomic_files import load_json
from stages.paths import Arm, Paths
from tests.integration.stages import workspaces

POINTS = ["real_25_percent", "real_50_percent"]
ARM, BASELINE = Arm("dcgan", 100, 0), Arm("real", 100, 0)
STEPS = 60
WEAK = Augmentation(rotation=5, shift=0.05, scale=0.05, shear=0.05, blur=0.3, contrast=0.1, noise=0.05)
NAMES = [
    name
    for name, source in SOURCES.items()
    if source.view is None or name in ("real_background", "real_blurred", "synthetic_residual")
]
"""All sources but some of the views, which differ in a function only."""


@pytest.fixture(scope="module")
def paths(params, prepared, tmp_path_factory) -> Paths:
    """A workspace in which all stages ran with these sources."""
    paths = Paths(tmp_path_factory.mktemp("sources"))
    shutil.copytree(prepared.root, paths.root, dirs_exist_ok=True)
    # In reverse: the order of params.yaml must not matter.
    classifier = replace(
        params.classifier,
        sources=NAMES[::-1],
        sweep=[5, 20],
        learning_curve=[25, 50],
        steps=STEPS,
        augmentation=WEAK,  # a strong one hides fingerprints
    )
    network = replace(params.feature_network, steps=10)
    params = replace(params, classifier=classifier, feature_network=network, percents=[100])
    stages = {
        **{"train_feature_network": None, "train_generators": ARM, "synthesize": ARM},
        **{"train_baselines": BASELINE, "train_classifiers": ARM, "evaluate": ARM, "report": None},
    }
    for name, arm in stages.items():
        workspaces.run(name, params, arm, paths)
    return paths


@pytest.fixture(scope="module")
def rows(paths) -> dict[str, dict]:
    return workspaces.rows(paths, ARM)


def test_every_source_has_a_row_with_the_same_number_of_steps(rows):
    assert set(rows) == {*NAMES, "synthetic_5", "synthetic_20", *POINTS}
    assert {row["steps"] for row in rows.values()} == {STEPS}


def test_real_images_suffice_and_shuffled_labels_do_not(rows):
    assert rows["real"]["accuracy"] > 0.75
    assert rows["real_bootstrap"]["accuracy"] > 0.65
    for control in ("real_shuffled", "synthetic_shuffled"):
        # Chance is 1 in 10. The interval covers the choice of test images only, not the training run.
        assert rows[control]["accuracy_low"] < 0.12
        assert rows[control]["accuracy"] < 0.2
    assert rows["real_shuffled"]["difference_high"] < -0.4


def test_images_of_untrained_generators_show_only_their_fingerprint(rows):
    """Each class has its own initial weights, which a classifier recognizes on held-out images."""
    assert rows["untrained"]["accuracy"] < 0.3
    assert rows["untrained"]["holdout_accuracy"] > 0.9
    assert rows["untrained"]["holdout_gap"] > 0.6


def test_numbers_of_images(rows):
    numbers = {name: (row["n_real"], row["n_synthetic"]) for name, row in rows.items() if row["n_synthetic"]}
    synthetic = [name for name in NAMES if SOURCES[name].origin == "synthetic"]
    assert numbers == {
        **dict.fromkeys(synthetic, (0, 150)),
        **dict.fromkeys(("mixed", "mixed_filtered", "mixed_distilled"), (120, 150)),
        "synthetic_equal": (0, 120),
        "synthetic_5": (0, 50),
        "synthetic_20": (0, 200),
    }


def test_views_hide_part_of_the_image(rows):
    assert rows["real_background"]["accuracy"] < rows["real"]["accuracy"] - 0.2
    assert rows["real_blurred"]["view"] == "blurred"
    assert rows["real_blurred"]["accuracy"] > 0.6


def test_differences_are_those_of_the_accuracies(rows):
    for row in rows.values():
        assert row["difference"] == pytest.approx(row["accuracy"] - rows["real"]["accuracy"])
    assert rows["real"]["difference"] == 0


def test_simple_classifiers_are_evaluated_on_every_source(rows, paths):
    real = rows["real"]
    assert 0.6 < real["accuracy_nearest_neighbour"] <= 1
    assert 0.4 < real["accuracy_linear"] <= 1
    assert rows["real_shuffled"]["accuracy_nearest_neighbour"] < 0.3
    assert rows["real_shuffled"]["accuracy_linear"] < 0.3
    assert all("accuracy_nearest_neighbour" in row for row in rows.values())
    facts = archive.load(paths.classifiers(ARM))
    assert facts["synthetic_residual"]["view"] == "residual"
    assert facts["synthetic_residual-linear"]["simple_classifier"]


def test_the_report_shows_every_source(paths):
    table = read_results(paths.reports / "results.csv")
    assert [row["source"] for row in table] == [*NAMES, *POINTS, "synthetic_5", "synthetic_20"]
    page = (paths.reports / "index.html").read_text()
    assert "Number of synthetic images" in page
    assert "All sources of dcgan at 100 %" in page


def test_the_table_states_how_metrics_were_measured(paths):
    table = read_results(paths.reports / "results.csv")
    real, synthetic, mixed = table[:3]
    assert list(real) == tables.columns()
    assert all(row["seconds"] > 0 and row["fid"] is None and row["n_inception"] is None for row in table)
    network = f"sha256 {load_json(paths.feature_network / 'network.json')['sha256']}"
    names = ("n_frechet", "n_points", "n_memorised", "feature_network")
    assert [real[name] for name in names] == [30, 30, None, network]
    assert [synthetic[name] for name in names] == [30, 30, 150, network]
    assert [mixed[name] for name in names] == [None] * 4


def test_the_learning_curve_says_what_synthetic_images_are_worth(rows, paths):
    """In real images: by hand between the two sizes whose accuracies enclose those of other images."""
    assert [rows[name]["n_real"] for name in (*POINTS, "real")] == [30, 60, 120]
    curve = np.maximum.accumulate([rows[name]["accuracy"] for name in (*POINTS, "real")])
    table = {row["source"]: row for row in read_results(paths.reports / "results.csv")}
    assert table["mixed"]["worth"] > 30
    assert table["mixed_filtered"]["worth"] > 30
    for name in ("synthetic", "mixed", "mixed_filtered"):
        accuracy, own = rows[name]["accuracy"], table[name]
        expected = np.exp(np.interp(accuracy, curve, np.log([30, 60, 120]))) if accuracy > 0.1 else 0
        assert own["worth"] == pytest.approx(expected, rel=0.1)
        assert own["worth_low"] <= own["worth"] <= own["worth_high"]
    assert table["real"]["worth"] is None
    page = (paths.reports / "index.html").read_text(encoding="utf-8")
    assert "Worth in real images" in page and " synthetic images are worth " in page
