"""Shared by all tests: the real settings, shrunk, and real data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import params as settings
from stages.prepare.layout import Arm, Layout
from stages.prepare.tracker import NullTracker

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("LABELMINT_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    """Tests see no mirror, no tracking server and no data of the person who runs them."""
    for name in (
        "LABELMINT_MIRROR",
        "MLFLOW_TRACKING_URI",
        "LABELMINT_TRACKING",
        "LABELMINT_PARENT_RUN_ID",
        "LABELMINT_DEBUG",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def params() -> settings.Params:
    """The default settings, shrunk to a few steps on a few images."""
    real = settings.load(ROOT / "experiments" / "default.yaml")
    return replace(
        real,
        dataset=replace(real.dataset, images_per_class=12),
        percents=[50, 100],
        training=replace(real.training, epochs=2, images_per_epoch=24, batch_size=8, preview_images=3),
        synthesis=replace(real.synthesis, images_per_class=15),
        classifier=replace(real.classifier, network="small_cnn", steps=30, checks=3, batch_size=16),
        feature_network=replace(real.feature_network, steps=60, features=8),
        compute=replace(real.compute, device="cpu", workers=1),
    )


@pytest.fixture(scope="session")
def workspace(params, tmp_path_factory) -> Layout:
    """A workspace in which every stage has run once on few real digits."""
    from pipeline.stage import entry, select

    layout, tracker = Layout(tmp_path_factory.mktemp("workspace")), NullTracker()
    arm, baseline = Arm("dcgan", 100, 0), Arm("real", 100, 0)
    plan = [("prepare", None), ("train_feature_network", None), ("train_generators", arm), ("synthesize", arm)]
    plan += [("train_baselines", baseline), ("train_classifiers", arm), ("evaluate", arm)]
    for stage, of in plan:
        module = entry(stage)
        module.run(select(module.Params, params, of), layout, tracker)
    module = entry("report")
    module.run(select(module.Params, replace(params, percents=[100]), None), layout, tracker)
    return layout


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder that holds MNIST/raw."""
    if not (SHARED / "MNIST" / "raw").is_dir():
        pytest.skip(f"real MNIST is not at {SHARED}; set LABELMINT_TEST_DATA")
    return SHARED


@pytest.fixture
def noise() -> np.ndarray:
    """uint8 (40, 1, 16, 16)."""
    return np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)
